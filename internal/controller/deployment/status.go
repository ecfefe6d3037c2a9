package deployment

import (
	"context"
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// report writes the status where it changed, and comes back when the progress deadline is due.
func (c *Controller) report(ctx context.Context, r *rollout) error {
	status := summarize(r)
	now := time.Now()
	progress(r, &status, now)
	if !equality.Semantic.DeepEqual(status, r.d.Status) {
		updated := r.d.DeepCopy()
		updated.Status = status
		_, err := c.client.AppsV1().Deployments(r.d.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("update deployment status: %w", err)
		}
	}
	if left, ok := untilDeadline(r.d, &status, now); ok {
		c.queue.AddAfter(cache.MetaObjectToName(r.d).String(), left)
	}
	return nil
}

// summarize adds up the ReplicaSets.
func summarize(r *rollout) appsv1.DeploymentStatus {
	status := *r.d.Status.DeepCopy()
	sets := r.all()
	status.ObservedGeneration = r.d.Generation
	status.Replicas = sum(sets, func(s *appsv1.ReplicaSet) int32 { return s.Status.Replicas })
	status.ReadyReplicas = sum(sets, func(s *appsv1.ReplicaSet) int32 { return s.Status.ReadyReplicas })
	status.AvailableReplicas = sum(sets, available)
	status.UnavailableReplicas = max(status.Replicas-status.AvailableReplicas, 0)
	status.UpdatedReplicas = 0
	if r.current != nil {
		status.UpdatedReplicas = r.current.Status.Replicas
	}
	leaving := sum(sets, func(s *appsv1.ReplicaSet) int32 {
		if s.Status.TerminatingReplicas == nil {
			return 0
		}
		return *s.Status.TerminatingReplicas
	})
	status.TerminatingReplicas = &leaving
	_, maxUnavailable := fenceposts(r.d)
	if status.AvailableReplicas >= wanted(r.d)-maxUnavailable {
		setCondition(&status, newCondition(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability."))
	} else {
		setCondition(&status, newCondition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."))
	}
	return status
}

// progress sets the conditions Progressing and ReplicaFailure.
func progress(r *rollout, status *appsv1.DeploymentStatus, now time.Time) {
	setReplicaFailure(r, status)
	if !hasDeadline(r.d) {
		removeCondition(status, appsv1.DeploymentProgressing)
		return
	}
	current := condition(&r.d.Status, appsv1.DeploymentProgressing)
	if r.d.Spec.Paused || r.d.DeletionTimestamp != nil {
		return
	}
	done := status.Replicas == status.UpdatedReplicas && current != nil && current.Reason == reasonAvailable
	if done {
		return
	}
	subject := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.current != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.current.Name)
	}
	switch {
	case isComplete(r.d, status):
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonAvailable, subject+" has successfully progressed."))
	case hasProgressed(&r.d.Status, status):
		moving := newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", subject+" is progressing.")
		if current != nil && current.Status == corev1.ConditionTrue {
			moving.LastTransitionTime = current.LastTransitionTime
		}
		// Put anew even when nothing but its time changes: the deadline counts from the last progress.
		removeCondition(status, appsv1.DeploymentProgressing)
		status.Conditions = append(status.Conditions, moving)
	case isTimedOut(r.d, current, now):
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing."))
	}
}

// isComplete tells whether every Pod is of the current template and available, and no other is left.
func isComplete(d *appsv1.Deployment, status *appsv1.DeploymentStatus) bool {
	return status.UpdatedReplicas == wanted(d) && status.Replicas == wanted(d) &&
		status.AvailableReplicas == wanted(d) && status.ObservedGeneration >= d.Generation
}

func hasProgressed(old, status *appsv1.DeploymentStatus) bool {
	return status.UpdatedReplicas > old.UpdatedReplicas ||
		status.Replicas-status.UpdatedReplicas < old.Replicas-old.UpdatedReplicas ||
		status.ReadyReplicas > old.ReadyReplicas || status.AvailableReplicas > old.AvailableReplicas
}

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func isTimedOut(d *appsv1.Deployment, current *appsv1.DeploymentCondition, now time.Time) bool {
	if current == nil || current.Reason == reasonAvailable {
		return false
	}
	if current.Reason == reasonTimedOut {
		return true
	}
	deadline := time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second
	return current.LastUpdateTime.Add(deadline).Before(now)
}

// untilDeadline is how long the rollout still has before it counts as stuck.
func untilDeadline(d *appsv1.Deployment, status *appsv1.DeploymentStatus, now time.Time) (time.Duration, bool) {
	current := condition(status, appsv1.DeploymentProgressing)
	if !hasDeadline(d) || current == nil || isComplete(d, status) || current.Reason == reasonTimedOut || d.Spec.Paused {
		return 0, false
	}
	deadline := current.LastUpdateTime.Add(time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second)
	// Times in the status are whole seconds.
	return max(deadline.Sub(now), 0) + time.Second, true
}
