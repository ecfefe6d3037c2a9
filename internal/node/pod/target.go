package pod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// An ephemeral container joins the process namespace of its target, so it can only start while the target runs. It
// may run once. A start that came too late, because the target ended in that moment, must not use this up: it did
// not run, and is tried again with the target's next run.

// targetNews is how long the news of a target's end may take after a start that failed because of it.
const targetNews = 250 * time.Millisecond

// awaitsTarget notes what an ephemeral container's target lacks. The target's start wakes the Worker.
func (w *Worker) awaitsTarget(e *corev1.EphemeralContainer) bool {
	if e.TargetContainerName == "" {
		return false
	}
	target := w.rt.Latest(e.TargetContainerName)
	switch {
	case target.Running():
		return false
	case target == nil:
		w.waiting[e.Name] = status.Waiting{Reason: reasonConfig, Message: "unable to find target container " + e.TargetContainerName}
	default:
		w.waiting[e.Name] = status.Waiting{Reason: reasonCreate, Message: notRunning(e)}
	}
	if subject := "target/" + e.Name; w.announced[subject] == "" {
		w.announced[subject] = "told"
		w.Recorder.Eventf(w.reference(e.Name), corev1.EventTypeWarning, "Failed", "Error: %s", w.waiting[e.Name].Message)
	}
	return true
}

func notRunning(e *corev1.EphemeralContainer) string {
	return fmt.Sprintf("target container %s is not running", e.TargetContainerName)
}

// hide keeps an ephemeral container with a target out of sight until it is known whether its start counts: in the
// status, a failure would be its end.
func (w *Worker) hide(l launch, id string) {
	if l.ephemeral == nil || l.ephemeral.TargetContainerName == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hidden[id] = true
}

// withoutTarget judges a failed start. If the target had ended, what is left of the try is removed and the failure is
// one that is tried again; else the start counts, and nil is returned.
func (w *Worker) withoutTarget(ctx context.Context, l launch, id string) *failure {
	if l.ephemeral == nil || l.ephemeral.TargetContainerName == "" {
		return nil
	}
	if w.targetEnded(ctx, l.rt.Latest(l.ephemeral.TargetContainerName).GetId()) {
		if _, err := w.Runtime.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: id}); err == nil || runtime.Gone(err) {
			return &failure{reason: reasonCreate, message: notRunning(l.ephemeral)}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hidden, id)
	return nil
}

func (w *Worker) targetEnded(ctx context.Context, id string) bool {
	answer, err := w.Runtime.ContainerStatus(ctx, &runtimev1.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return runtime.Gone(err)
	}
	if answer.GetStatus().GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		return true
	}
	soon, cancel := context.WithTimeout(ctx, targetNews)
	defer cancel()
	w.WaitExit(soon, id)
	return soon.Err() == nil
}
