package deployment

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// resize gives a ReplicaSet another size, and tells whether it had to. *set becomes what the server answered.
func (c *Controller) resize(ctx context.Context, r *rollout, set **appsv1.ReplicaSet, to int32) (bool, error) {
	from := replicas(*set)
	updated := (*set).DeepCopy()
	noted := noteReplicas(updated, r.d)
	if from == to && (!noted || to == 0) {
		return false, nil
	}
	updated.Spec.Replicas = &to
	updated, err := c.client.AppsV1().ReplicaSets(updated.Namespace).Update(ctx, updated, metav1.UpdateOptions{})
	if err != nil {
		return false, fmt.Errorf("scale replica set: %w", err)
	}
	*set = updated.DeepCopy()
	if from == to {
		return false, nil
	}
	direction := "up"
	if to < from {
		direction = "down"
	}
	c.recorder.Eventf(r.d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, updated.Name, from, to)
	return true, nil
}

// spreadScale follows a change of the Deployment's size, in the middle of a rollout too: then every set gets its share.
func (c *Controller) spreadScale(ctx context.Context, r *rollout) error {
	if only := r.onlyActive(); only != nil {
		_, err := c.resize(ctx, r, only, wanted(r.d))
		return err
	}
	if r.current != nil && isSaturated(r.d, r.current) {
		for i := range r.old {
			if _, err := c.resize(ctx, r, &r.old[i], 0); err != nil {
				return err
			}
		}
		return nil
	}
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	return c.share(ctx, r)
}

// onlyActive is the one set that has replicas, the current or newest when none has, and nil when several have.
func (r *rollout) onlyActive() **appsv1.ReplicaSet {
	var found **appsv1.ReplicaSet
	for i := range r.old {
		if replicas(r.old[i]) > 0 {
			if found != nil {
				return nil
			}
			found = &r.old[i]
		}
	}
	if replicas(r.current) > 0 {
		if found != nil {
			return nil
		}
		return &r.current
	}
	switch {
	case found != nil:
		return found
	case r.current != nil:
		return &r.current
	case len(r.old) > 0:
		return &r.old[len(r.old)-1]
	}
	return nil
}

func isSaturated(d *appsv1.Deployment, set *appsv1.ReplicaSet) bool {
	desired, err := strconv.ParseInt(set.Annotations[desiredReplicasAnnotation], 10, 32)
	return err == nil && replicas(set) == wanted(d) && int32(desired) == wanted(d) && set.Status.AvailableReplicas == wanted(d)
}

// share spreads the change over the active sets in proportion to their sizes; the largest gets what is left over.
func (c *Controller) share(ctx context.Context, r *rollout) error {
	surge, _ := fenceposts(r.d)
	var allowed int32
	if wanted(r.d) > 0 {
		allowed = wanted(r.d) + surge
	}
	sets := r.activePlaces()
	var total int32
	for _, set := range sets {
		total += replicas(*set)
	}
	change := allowed - total
	slices.SortStableFunc(sets, func(a, b **appsv1.ReplicaSet) int {
		age := (*a).CreationTimestamp.Compare((*b).CreationTimestamp.Time)
		if change > 0 {
			age = -age
		}
		return cmp.Or(cmp.Compare(replicas(*b), replicas(*a)), age)
	})
	sizes := make([]int32, len(sets))
	var added int32
	for i, set := range sets {
		sizes[i] = replicas(*set)
		if change != 0 {
			part := proportion(r.d, *set, change, added, allowed)
			sizes[i] += part
			added += part
		}
	}
	for i, set := range sets {
		if i == 0 && change != 0 {
			sizes[0] = max(sizes[0]+change-added, 0)
		}
		if _, err := c.resize(ctx, r, set, sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) activePlaces() []**appsv1.ReplicaSet {
	var sets []**appsv1.ReplicaSet
	for i := range r.old {
		if replicas(r.old[i]) > 0 {
			sets = append(sets, &r.old[i])
		}
	}
	if replicas(r.current) > 0 {
		sets = append(sets, &r.current)
	}
	return sets
}

// proportion is a set's part of the change, never past what is left of it.
func proportion(d *appsv1.Deployment, set *appsv1.ReplicaSet, change, added, allowed int32) int32 {
	before, err := strconv.ParseInt(set.Annotations[maxReplicasAnnotation], 10, 32)
	if err != nil || before <= 0 {
		before = int64(max(d.Status.Replicas, 1))
	}
	size := float64(replicas(set)) * float64(allowed) / float64(before)
	part := int32(math.Round(size)) - replicas(set)
	if change > 0 {
		return min(max(part, 0), change-added)
	}
	return max(min(part, 0), change-added)
}

// cleanUp deletes the old sets that the revision history has no room for.
func (c *Controller) cleanUp(ctx context.Context, r *rollout) error {
	if r.d.Spec.RevisionHistoryLimit == nil || *r.d.Spec.RevisionHistoryLimit == math.MaxInt32 {
		return nil
	}
	old := slices.DeleteFunc(slices.Clone(r.old), func(s *appsv1.ReplicaSet) bool { return s.DeletionTimestamp != nil })
	slices.SortStableFunc(old, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Compare(revision(a.Annotations), revision(b.Annotations))
	})
	for _, set := range old[:max(len(old)-int(*r.d.Spec.RevisionHistoryLimit), 0)] {
		if set.Status.Replicas != 0 || replicas(set) != 0 || set.Generation > set.Status.ObservedGeneration {
			continue
		}
		err := c.client.AppsV1().ReplicaSets(set.Namespace).Delete(ctx, set.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete old replica set: %w", err)
		}
	}
	return nil
}
