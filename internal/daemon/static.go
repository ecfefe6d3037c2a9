package daemon

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// completeStatic does to a static Pod, which no API server sees before it runs, what one would: it fills in defaults and
// judges the result.
func completeStatic(pod *corev1.Pod) error {
	defaults.SetPod(pod)
	return validation.PodCreate(pod).ToAggregate()
}
