package pod

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// postStart runs the container's hook. If it fails, the container is killed and its policy decides what follows.
func (w *Worker) postStart(ctx context.Context, l launch, id string) *failure {
	if l.container.Lifecycle == nil || l.container.Lifecycle.PostStart == nil {
		return nil
	}
	err := w.runHook(ctx, l.pod, l.container, id, l.container.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	message := fmt.Sprintf("PostStartHook failed: %v", err)
	w.event(l.pod, l.container.Name, corev1.EventTypeWarning, "FailedPostStartHook", "%s", message)
	w.mu.Lock()
	w.restart[id] = true
	w.mu.Unlock()
	w.stopContainer(ctx, l.pod, id, l.container, fmt.Sprintf("FailedPostStartHook: %v", err), graceOf(l.pod, l.container, ""))
	return &failure{reason: reasonHook, message: message, started: true}
}

// runHook runs one lifecycle handler and waits for it.
func (w *Worker) runHook(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		answer, err := w.Runtime.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: h.Exec.Command})
		if err != nil {
			return fmt.Errorf("exec: %s", runtime.Reason(err))
		}
		if answer.GetExitCode() != 0 {
			return fmt.Errorf("command %q exited with %d: %s%s", h.Exec.Command, answer.GetExitCode(), answer.GetStdout(), answer.GetStderr())
		}
		return nil
	case h.HTTPGet != nil:
		return w.httpHook(ctx, pod, c, h.HTTPGet)
	case h.Sleep != nil:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
			return nil
		}
	}
	return fmt.Errorf("lifecycle handler of container %s has no action that this node supports", c.Name)
}

func (w *Worker) httpHook(ctx context.Context, pod *corev1.Pod, c *corev1.Container, get *corev1.HTTPGetAction) error {
	target := probe.Target{Pod: pod, Container: c, IP: w.podIP()}
	request, err := probe.Request(ctx, target, get, "kube-lifecycle/1.37")
	if err != nil {
		return err
	}
	answer, err := probe.Client().Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP lifecycle hook (%s) failed: %s", request.URL, answer.Status)
	}
	return nil
}

// podIP reads the Pod's address as it is now. mu must not be held.
func (w *Worker) podIP() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ips := status.PodIPs(w.spec, w.rt, w.HostIPs); len(ips) > 0 {
		return ips[0]
	}
	return ""
}
