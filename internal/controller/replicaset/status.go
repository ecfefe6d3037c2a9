package replicaset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// report writes the status of a set where it changed.
func (c *Controller) report(ctx context.Context, set *appsv1.ReplicaSet, active, terminating []*corev1.Pod, failed error) error {
	status := summarize(set, active, terminating, time.Now())
	setFailure(&status, failed)
	if equality.Semantic.DeepEqual(status, set.Status) {
		return nil
	}
	updated := set.DeepCopy()
	updated.Status = status
	_, err := c.client.AppsV1().ReplicaSets(set.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update replica set status: %w", err)
	}
	return nil
}

func summarize(set *appsv1.ReplicaSet, active, terminating []*corev1.Pod, now time.Time) appsv1.ReplicaSetStatus {
	status := *set.Status.DeepCopy()
	status.ObservedGeneration = set.Generation
	status.Replicas = int32(len(active))
	status.FullyLabeledReplicas, status.ReadyReplicas, status.AvailableReplicas = 0, 0, 0
	leaving := int32(len(terminating))
	status.TerminatingReplicas = &leaving
	minReady := time.Duration(set.Spec.MinReadySeconds) * time.Second
	for _, pod := range active {
		if matchesTemplate(set, pod) {
			status.FullyLabeledReplicas++
		}
		since, ready := readySince(pod)
		if !ready {
			continue
		}
		status.ReadyReplicas++
		if minReady == 0 || !since.Add(minReady).After(now) {
			status.AvailableReplicas++
		}
	}
	return status
}

// setFailure puts or takes off the condition ReplicaFailure.
func setFailure(status *appsv1.ReplicaSetStatus, failed error) {
	isFailure := func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure }
	if failed == nil {
		status.Conditions = slices.DeleteFunc(status.Conditions, isFailure)
		return
	}
	reason := "FailedCreate"
	var scaling *scaleError
	if errors.As(failed, &scaling) {
		reason = scaling.reason
	}
	if slices.ContainsFunc(status.Conditions, func(c appsv1.ReplicaSetCondition) bool { return isFailure(c) && c.Reason == reason }) {
		return
	}
	status.Conditions = append(slices.DeleteFunc(status.Conditions, isFailure), appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reason,
		Message: failed.Error(), LastTransitionTime: metav1.Now(),
	})
}
