package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

// TestQuotaHandles: a creation counts, a resize, and an update that takes a Pod from the quota of those without a deadline
// to that of those with one.
func TestQuotaHandles(t *testing.T) {
	deadline := int64(60)
	plain, ends := &corev1.Pod{}, &corev1.Pod{Spec: corev1.PodSpec{ActiveDeadlineSeconds: &deadline}}
	for name, c := range map[string]struct {
		now, before *corev1.Pod
		sub         string
		op          admission.Operation
		want        bool
	}{
		"creation":        {now: plain, op: admission.Create, want: true},
		"resize":          {now: plain, before: plain, sub: "resize", op: admission.Update, want: true},
		"update":          {now: plain, before: plain, op: admission.Update},
		"deadline":        {now: ends, before: plain, op: admission.Update, want: true},
		"no deadline":     {now: plain, before: ends, op: admission.Update, want: true},
		"another":         {now: ends, before: ends, op: admission.Update},
		"status":          {now: ends, before: plain, sub: "status", op: admission.Update},
		"one more to run": {now: plain, before: plain, sub: "ephemeralcontainers", op: admission.Update},
	} {
		var before runtime.Object
		if c.before != nil {
			before = c.before
		}
		v1 := corev1.SchemeGroupVersion
		a := admission.NewAttributesRecord(c.now, before, v1.WithKind("Pod"), "default", "p", v1.WithResource("pods"), c.sub, c.op, nil, false, nil)
		if got := (podEvaluator{}).Handles(a); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
