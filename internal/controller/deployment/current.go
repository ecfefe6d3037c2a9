package deployment

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ensureCurrent finds or makes the ReplicaSet of the Deployment's template, and gives it the newest revision.
func (c *Controller) ensureCurrent(ctx context.Context, r *rollout) error {
	if r.current == nil {
		return c.createCurrent(ctx, r)
	}
	return c.refreshCurrent(ctx, r)
}

func (r *rollout) nextRevision() int64 {
	var newest int64
	for _, set := range r.old {
		newest = max(newest, revision(set.Annotations))
	}
	return newest + 1
}

// refreshCurrent brings the current ReplicaSet's annotations up to date: one that an undo brings back from of old
// becomes the newest revision.
func (c *Controller) refreshCurrent(ctx context.Context, r *rollout) error {
	if r.current == nil {
		return nil
	}
	set := r.current.DeepCopy()
	changed := annotate(set, r.d, r.nextRevision(), false)
	if set.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		set.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
		changed = true
	}
	if changed {
		updated, err := c.client.AppsV1().ReplicaSets(set.Namespace).Update(ctx, set, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("update replica set: %w", err)
		}
		r.current = updated
	}
	message := fmt.Sprintf("Found new replica set %q", r.current.Name)
	return c.noteRevision(ctx, r, corev1.ConditionTrue, "FoundNewReplicaSet", message)
}

// noteRevision copies the current revision to the Deployment, and starts the Progressing condition where it is missing.
func (c *Controller) noteRevision(ctx context.Context, r *rollout, status corev1.ConditionStatus, reason, message string) error {
	current := r.current.Annotations[revisionAnnotation]
	if r.d.Annotations[revisionAnnotation] != current {
		updated := r.d.DeepCopy()
		if updated.Annotations == nil {
			updated.Annotations = map[string]string{}
		}
		updated.Annotations[revisionAnnotation] = current
		updated, err := c.client.AppsV1().Deployments(r.d.Namespace).Update(ctx, updated, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("update deployment: %w", err)
		}
		r.d = updated.DeepCopy()
	}
	if hasDeadline(r.d) && condition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
		return c.writeCondition(ctx, r, newCondition(appsv1.DeploymentProgressing, status, reason, message))
	}
	return nil
}

func (c *Controller) writeCondition(ctx context.Context, r *rollout, cond appsv1.DeploymentCondition) error {
	updated := r.d.DeepCopy()
	setCondition(&updated.Status, cond)
	updated, err := c.client.AppsV1().Deployments(r.d.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update deployment status: %w", err)
	}
	r.d = updated.DeepCopy()
	return nil
}

func (c *Controller) createCurrent(ctx context.Context, r *rollout) error {
	set := newReplicaSet(r)
	created, err := c.client.AppsV1().ReplicaSets(set.Namespace).Create(ctx, set, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return c.collision(ctx, r, set, err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case err != nil:
		message := fmt.Sprintf("Failed to create new replica set %q: %v", set.Name, err)
		c.recorder.Event(r.d, corev1.EventTypeWarning, "ReplicaSetCreateError", message)
		if hasDeadline(r.d) {
			// What the status says of it comes second to the error itself.
			_ = c.writeCondition(ctx, r, newCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ReplicaSetCreateError", message))
		}
		return fmt.Errorf("create replica set: %w", err)
	}
	if n := replicas(created); n > 0 {
		c.recorder.Eventf(r.d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled up replica set %s from 0 to %d", created.Name, n)
	}
	r.current = created.DeepCopy()
	return c.noteRevision(ctx, r, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", created.Name))
}

// collision settles a name that is taken: by this very set, which the cache does not show yet, or by another whose
// hash happens to be the same; then the hash is salted anew.
func (c *Controller) collision(ctx context.Context, r *rollout, set *appsv1.ReplicaSet, taken error) error {
	live, err := c.client.AppsV1().ReplicaSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get replica set: %w", err)
	}
	if owner := metav1.GetControllerOf(live); owner != nil && owner.UID == r.d.UID && sameTemplate(&live.Spec.Template, &r.d.Spec.Template) {
		r.current = live
		return c.refreshCurrent(ctx, r)
	}
	updated := r.d.DeepCopy()
	count := int32(1)
	if updated.Status.CollisionCount != nil {
		count += *updated.Status.CollisionCount
	}
	updated.Status.CollisionCount = &count
	if _, err := c.client.AppsV1().Deployments(r.d.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update deployment status: %w", err)
	}
	return fmt.Errorf("create replica set: %w", taken)
}

func newReplicaSet(r *rollout) *appsv1.ReplicaSet {
	d := r.d
	hash := templateHash(&d.Spec.Template, d.Status.CollisionCount)
	template := d.Spec.Template.DeepCopy()
	template.Labels = withHash(template.Labels, hash)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, hash)
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.Name + "-" + hash, Namespace: d.Namespace, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{MinReadySeconds: d.Spec.MinReadySeconds, Selector: selector, Template: *template},
	}
	n := r.roomForCurrent(set)
	set.Spec.Replicas = &n
	annotate(set, d, r.nextRevision(), true)
	return set
}

func withHash(l map[string]string, hash string) map[string]string {
	l = maps.Clone(l)
	if l == nil {
		l = map[string]string{}
	}
	l[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return l
}

// annotate gives a ReplicaSet the Deployment's annotations and a revision that never goes back, and tells whether that
// changed anything.
func annotate(set *appsv1.ReplicaSet, d *appsv1.Deployment, newest int64, fresh bool) bool {
	before := maps.Clone(set.Annotations)
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	for k, v := range d.Annotations {
		if !ownAnnotation(k) {
			set.Annotations[k] = v
		}
	}
	if old := revision(set.Annotations); old < newest {
		if had, ok := set.Annotations[revisionAnnotation]; ok {
			set.Annotations[revisionHistoryAnnotation] = addRevision(set.Annotations[revisionHistoryAnnotation], had)
		}
		set.Annotations[revisionAnnotation] = strconv.FormatInt(newest, 10)
	}
	if fresh {
		noteReplicas(set, d)
	}
	return !maps.Equal(before, set.Annotations)
}

func addRevision(history, revision string) string {
	if history == "" {
		return revision
	}
	return history + "," + revision
}

// ownAnnotation tells the annotations that are each object's own, not handed down.
func ownAnnotation(key string) bool {
	switch key {
	case corev1.LastAppliedConfigAnnotation, revisionAnnotation, revisionHistoryAnnotation,
		desiredReplicasAnnotation, maxReplicasAnnotation, appsv1.DeprecatedRollbackTo:
		return true
	}
	return false
}

// noteReplicas writes down what the set's size was reckoned from, and tells whether that changed anything.
func noteReplicas(set *appsv1.ReplicaSet, d *appsv1.Deployment) bool {
	surge, _ := fenceposts(d)
	desired, most := strconv.Itoa(int(wanted(d))), strconv.Itoa(int(wanted(d)+surge))
	if set.Annotations[desiredReplicasAnnotation] == desired && set.Annotations[maxReplicasAnnotation] == most {
		return false
	}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[desiredReplicasAnnotation], set.Annotations[maxReplicasAnnotation] = desired, most
	return true
}
