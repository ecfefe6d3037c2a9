package nodelife

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// taint makes the taints that this controller is responsible for follow the node's conditions.
func (c *Controller) taint(ctx context.Context, node *corev1.Node) error {
	wanted := conditionTaints(node)
	if c.mayEvict(node) {
		wanted = append(wanted, executeTaints(node)...)
	}
	taints, changed := merge(node.Spec.Taints, wanted, metav1.NewTime(c.now()))
	if !changed {
		return nil
	}
	updated := node.DeepCopy()
	updated.Spec.Taints = taints
	if _, err := c.client.CoreV1().Nodes().Update(ctx, updated, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update node taints: %w", err)
	}
	return nil
}

// mayEvict is false when no node at all is ready: then it is more likely that this side is cut off than that every
// node died, and evicted Pods would find no better place.
func (c *Controller) mayEvict(node *corev1.Node) bool {
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(nodes, func(other *corev1.Node) bool {
		status, _ := readiness(other)
		return other.Name != node.Name && status == corev1.ConditionTrue
	})
}

// owned tells the taints that are this controller's to put on and take off.
func owned(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable:
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	case corev1.TaintNodeUnschedulable, corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure,
		corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable:
		return t.Effect == corev1.TaintEffectNoSchedule
	}
	return false
}

func conditionTaints(node *corev1.Node) []corev1.Taint {
	var keys []string
	for _, cond := range node.Status.Conditions {
		switch {
		case cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionFalse:
			keys = append(keys, corev1.TaintNodeNotReady)
		case cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionUnknown:
			keys = append(keys, corev1.TaintNodeUnreachable)
		case cond.Status != corev1.ConditionTrue:
		case cond.Type == corev1.NodeMemoryPressure:
			keys = append(keys, corev1.TaintNodeMemoryPressure)
		case cond.Type == corev1.NodeDiskPressure:
			keys = append(keys, corev1.TaintNodeDiskPressure)
		case cond.Type == corev1.NodePIDPressure:
			keys = append(keys, corev1.TaintNodePIDPressure)
		case cond.Type == corev1.NodeNetworkUnavailable:
			keys = append(keys, corev1.TaintNodeNetworkUnavailable)
		}
	}
	if node.Spec.Unschedulable {
		keys = append(keys, corev1.TaintNodeUnschedulable)
	}
	taints := make([]corev1.Taint, len(keys))
	for i, key := range keys {
		taints[i] = corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule}
	}
	return taints
}

func executeTaints(node *corev1.Node) []corev1.Taint {
	status, known := readiness(node)
	switch {
	case !known, status == corev1.ConditionTrue:
		return nil
	case status == corev1.ConditionUnknown:
		return []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}}
	}
	return []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}
}

// merge replaces the owned ones of the taints by the wanted, and keeps those that stay as they are.
func merge(taints, wanted []corev1.Taint, now metav1.Time) (merged []corev1.Taint, changed bool) {
	same := func(t corev1.Taint) func(corev1.Taint) bool {
		return func(other corev1.Taint) bool { return other.MatchTaint(&t) }
	}
	for _, t := range taints {
		if owned(t) && !slices.ContainsFunc(wanted, same(t)) {
			changed = true
			continue
		}
		merged = append(merged, t)
	}
	for _, t := range wanted {
		if !slices.ContainsFunc(merged, same(t)) {
			t.TimeAdded = &now
			merged = append(merged, t)
			changed = true
		}
	}
	return merged, changed
}
