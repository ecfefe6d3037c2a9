package deployment

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the condition Progressing, as kubectl knows them.
const (
	reasonAvailable = "NewReplicaSetAvailable"
	reasonTimedOut  = "ProgressDeadlineExceeded"
	reasonPaused    = "DeploymentPaused"
	reasonResumed   = "DeploymentResumed"
)

func newCondition(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) appsv1.DeploymentCondition {
	now := metav1.Now()
	return appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
}

func condition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// setCondition leaves a condition alone whose status and reason are the same already.
func setCondition(status *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	old := condition(status, c.Type)
	if old != nil && old.Status == c.Status && old.Reason == c.Reason {
		return
	}
	if old != nil && old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	removeCondition(status, c.Type)
	status.Conditions = append(status.Conditions, c)
}

func removeCondition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) {
	status.Conditions = slices.DeleteFunc(slices.Clone(status.Conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == kind })
}

// setReplicaFailure hands the first failure of a ReplicaSet on, the current one's before the others'.
func setReplicaFailure(r *rollout, status *appsv1.DeploymentStatus) {
	sets := r.all()
	slices.Reverse(sets)
	for _, set := range sets {
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				setCondition(status, newCondition(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, c.Reason, c.Message))
				return
			}
		}
	}
	removeCondition(status, appsv1.DeploymentReplicaFailure)
}

// notePause starts and ends the time that does not count for the progress deadline.
func (c *Controller) notePause(ctx context.Context, d *appsv1.Deployment) error {
	if !hasDeadline(d) {
		return nil
	}
	current := condition(&d.Status, appsv1.DeploymentProgressing)
	if current != nil && current.Reason == reasonTimedOut {
		return nil
	}
	paused := current != nil && current.Reason == reasonPaused
	var next appsv1.DeploymentCondition
	switch {
	case d.Spec.Paused && !paused:
		next = newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !d.Spec.Paused && paused:
		next = newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	default:
		return nil
	}
	r := &rollout{d: d}
	if err := c.writeCondition(ctx, r, next); err != nil {
		return err
	}
	*d = *r.d
	return nil
}
