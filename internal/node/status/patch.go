package status

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Patch returns a strategic merge patch that turns the status from into to, bound to the Pod's UID; nil if there is
// nothing to change. Only fields that differ are in it, of conditions only those that differ, so that what others
// wrote stays.
func Patch(uid types.UID, from, to *corev1.PodStatus) ([]byte, error) {
	changes := map[string]any{}
	a, b := reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem()
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		old, now := a.Field(i).Interface(), b.Field(i).Interface()
		if equality.Semantic.DeepEqual(old, now) {
			continue
		}
		changes[name] = now
		if b.Field(i).IsZero() {
			changes[name] = nil
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	narrow(changes, from, to)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "status": changes})
	if err != nil {
		return nil, fmt.Errorf("encode status patch: %w", err)
	}
	return patch, nil
}

// narrow handles the lists that a strategic patch merges by key.
func narrow(changes map[string]any, from, to *corev1.PodStatus) {
	if _, ok := changes["conditions"]; ok {
		differ := []any{}
		for i := range to.Conditions {
			if !holds(from.Conditions, to.Conditions[i]) {
				differ = append(differ, newCondition(&to.Conditions[i]))
			}
		}
		for i := range from.Conditions {
			if t := from.Conditions[i].Type; ours(t) && !has(to.Conditions, t) {
				differ = append(differ, map[string]any{"$patch": "delete", "type": t})
			}
		}
		changes["conditions"] = differ
	}
	if _, ok := changes["podIPs"]; ok {
		changes["podIPs"] = replaced(to.PodIPs)
	}
	if _, ok := changes["hostIPs"]; ok {
		changes["hostIPs"] = replaced(to.HostIPs)
	}
}

// condition is a PodCondition that spells out what is empty: a strategic patch leaves alone what it does not name.
type condition struct {
	Type               corev1.PodConditionType `json:"type"`
	Status             corev1.ConditionStatus  `json:"status"`
	ObservedGeneration *int64                  `json:"observedGeneration"`
	LastProbeTime      metav1.Time             `json:"lastProbeTime"`
	LastTransitionTime metav1.Time             `json:"lastTransitionTime"`
	Reason             *string                 `json:"reason"`
	Message            *string                 `json:"message"`
}

func newCondition(c *corev1.PodCondition) condition {
	return condition{
		Type: c.Type, Status: c.Status, ObservedGeneration: orNull(c.ObservedGeneration), LastProbeTime: c.LastProbeTime,
		LastTransitionTime: c.LastTransitionTime, Reason: orNull(c.Reason), Message: orNull(c.Message),
	}
}

func orNull[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func replaced[T any](list []T) []any {
	out := make([]any, 0, len(list)+1)
	for _, item := range list {
		out = append(out, item)
	}
	return append(out, map[string]string{"$patch": "replace"})
}

func holds(list []corev1.PodCondition, c corev1.PodCondition) bool {
	for i := range list {
		if list[i].Type == c.Type {
			return equality.Semantic.DeepEqual(list[i], c)
		}
	}
	return false
}
