package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// verdict is why a Pod fits nowhere.
type verdict struct {
	nodes int
	// reasons counts the nodes for each.
	reasons map[string]int
	// whole, when set, is true of every node.
	whole string
}

func (v *verdict) add(reasons []string) {
	for _, r := range reasons {
		v.reasons[r]++
	}
}

// message is the verdict in kube-scheduler's form.
func (v *verdict) message() string {
	if v.nodes == 0 {
		return "no nodes available to schedule pods"
	}
	detail := v.whole
	if detail == "" {
		var texts []string
		for reason, count := range v.reasons {
			texts = append(texts, fmt.Sprintf("%d %s", count, reason))
		}
		slices.Sort(texts)
		detail = strings.Join(texts, ", ")
	}
	return fmt.Sprintf("0/%d nodes are available: %s.", v.nodes, detail)
}

// reportUnschedulable tells of the verdict by an event and by the Pod's condition.
func (s *Scheduler) reportUnschedulable(ctx context.Context, pod *corev1.Pod, message string) error {
	s.recorder.Event(pod, corev1.EventTypeWarning, "FailedScheduling", message)
	patch, err := conditionPatch(pod, message)
	if err != nil || patch == nil {
		return err
	}
	_, err = s.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("patch pod status: %w", err)
	}
	return nil
}

// conditionPatch is the change of the Pod's status; nil when the condition says it all already.
func conditionPatch(pod *corev1.Pod, message string) ([]byte, error) {
	c := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, LastTransitionTime: metav1.Now(), ObservedGeneration: pod.Generation,
	}
	for _, old := range pod.Status.Conditions {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return nil, nil
		}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{c}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode pod condition: %w", err)
	}
	return patch, nil
}
