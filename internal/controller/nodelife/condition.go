package nodelife

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
)

const silent = "Kubelet stopped posting node status."

// monitored are the conditions that nobody can vouch for when a node is silent.
func monitored() []corev1.NodeConditionType {
	return []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure}
}

// markUnknown writes that nothing is known of a silent node.
func (c *Controller) markUnknown(ctx context.Context, cached *corev1.Node) (*corev1.Node, error) {
	node := cached.DeepCopy()
	now := metav1.NewTime(c.now())
	for _, kind := range monitored() {
		i := slices.IndexFunc(node.Status.Conditions, func(cond corev1.NodeCondition) bool { return cond.Type == kind })
		if i < 0 {
			node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
				Type: kind, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated",
				Message: "Kubelet never posted node status.", LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: now,
			})
			continue
		}
		cond := &node.Status.Conditions[i]
		if cond.Status != corev1.ConditionUnknown {
			cond.Status, cond.Reason, cond.Message, cond.LastTransitionTime = corev1.ConditionUnknown, "NodeStatusUnknown", silent, now
		}
	}
	if equality.Semantic.DeepEqual(node.Status.Conditions, cached.Status.Conditions) {
		return cached, nil
	}
	updated, err := c.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update node status: %w", err)
	}
	c.recorder.Eventf(cached, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", cached.Name)
	return updated, nil
}

// readiness is the status of a node's Ready condition; false as the second result when it has none.
func readiness(node *corev1.Node) (corev1.ConditionStatus, bool) {
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.Status, true
		}
	}
	return corev1.ConditionUnknown, false
}

// markPodsNotReady makes the Pods of a node that cannot speak for them not ready.
func (c *Controller) markPodsNotReady(ctx context.Context, node *corev1.Node) error {
	pods, err := podindex.OfNode(c.podIndex, node.Name)
	if err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods {
		for _, cond := range pod.Status.Conditions {
			if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
				errs = append(errs, c.markPodNotReady(ctx, pod))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Controller) markPodNotReady(ctx context.Context, pod *corev1.Pod) error {
	c.recorder.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	return c.patchPodCondition(ctx, pod, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(c.now()), ObservedGeneration: pod.Generation,
	})
}

func (c *Controller) patchPodCondition(ctx context.Context, pod *corev1.Pod, cond corev1.PodCondition) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{cond}},
	})
	if err != nil {
		return fmt.Errorf("encode pod condition: %w", err)
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("patch pod status: %w", err)
	}
	return nil
}
