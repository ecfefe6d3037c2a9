package pod

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// minGrace is what a container gets at least, even if its hook has used up the grace period.
const minGrace = 2

// startKill starts the task that stops a container.
func (w *Worker) startKill(ctx context.Context, k kill) {
	pod, id := w.spec, k.container.GetId()
	if k.again {
		w.restart[id] = true
	}
	w.spawn(ctx, k.container.GetMetadata().GetName(), func(ctx context.Context) {
		spec, grace := k.spec, graceOf(pod, k.spec, k.probe)
		if spec != nil && k.withoutHook {
			spec = spec.DeepCopy()
			spec.Lifecycle = nil
		}
		w.stopContainer(ctx, pod, id, spec, k.message, grace)
	})
}

// graceOf is the grace period of a container of a Pod that goes on, in seconds: its own if a probe has failed that has one,
// else the Pod's.
func graceOf(pod *corev1.Pod, c *corev1.Container, failed probe.Kind) int64 {
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = *seconds
	}
	var which *corev1.Probe
	switch {
	case c == nil:
	case failed == probe.Startup:
		which = c.StartupProbe
	case failed == probe.Liveness:
		which = c.LivenessProbe
	}
	if which != nil && which.TerminationGracePeriodSeconds != nil {
		grace = *which.TerminationGracePeriodSeconds
	}
	return grace
}

// stopContainer stops a running container: preStop hook, the stop signal, and a kill after grace seconds in all. c is
// nil for a container that the Pod's spec does not name.
func (w *Worker) stopContainer(ctx context.Context, pod *corev1.Pod, id string, c *corev1.Container, message string, grace int64) {
	if c != nil {
		w.event(pod, c.Name, corev1.EventTypeNormal, "Killing", "%s", message)
	}
	left := grace
	if c != nil && grace > 0 && c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		began := time.Now()
		w.preStop(ctx, pod, c, id, grace)
		left = max(grace-int64(time.Since(began)/time.Second), minGrace)
	}
	_, err := w.Runtime.StopContainer(ctx, &runtimev1.StopContainerRequest{ContainerId: id, Timeout: left})
	if err != nil && !runtime.Gone(err) && ctx.Err() == nil && c != nil {
		w.event(pod, c.Name, corev1.EventTypeWarning, "FailedKillPod", "error killing container %s: %s", c.Name, runtime.Reason(err))
	}
}

func (w *Worker) preStop(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string, grace int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(grace)*time.Second)
	defer cancel()
	if err := w.runHook(ctx, pod, c, id, c.Lifecycle.PreStop); err != nil && ctx.Err() == nil {
		w.event(pod, c.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed: %v", err)
	}
}
