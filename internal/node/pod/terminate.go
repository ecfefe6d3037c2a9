package pod

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// terminate ends the Pod step by step: what is being started is called off, containers are stopped with grace, the
// sandbox is stopped; if the API wants the Pod gone, all of it is removed and the API is told. Called with mu held.
func (w *Worker) terminate(ctx context.Context) {
	if cancel, ok := w.busy[taskTerminate]; ok {
		if w.graceNow() < w.grace {
			cancel() // deleted again with less grace
		}
		return
	}
	if len(w.busy) > 0 {
		for _, cancel := range w.busy {
			cancel()
		}
		return // each task's end wakes us
	}
	if w.pausedFor(taskTerminate) > 0 {
		return
	}
	switch {
	case w.rt.AnyRunning() || w.rt.Sandbox() != nil:
		w.stopAll(ctx)
	case w.gone || w.spec.DeletionTimestamp != nil:
		w.remove(ctx)
	}
}

// graceNow is the grace period, in seconds, that the Pod has been given last.
func (w *Worker) graceNow() int64 {
	if g := w.spec.DeletionGracePeriodSeconds; w.spec.DeletionTimestamp != nil && g != nil {
		return *g
	}
	if w.verdict != nil && w.verdict.Reason == reasonEvicted {
		return 1 // it does harm as long as it goes on
	}
	if w.verdict == nil && w.gone && !w.static {
		return 1 // deleted by force while we were not looking
	}
	return graceOf(w.spec, nil, "")
}

func (w *Worker) stopAll(ctx context.Context) {
	w.grace = w.graceNow()
	pod, rt, grace := w.spec, w.rt, w.grace
	w.spawn(ctx, taskTerminate, func(ctx context.Context) {
		deadline := time.Now().Add(time.Duration(grace) * time.Second)
		w.stopStage(ctx, pod, grace, rt, func(c *corev1.Container) bool { return c == nil || !status.Sidecar(c) })
		for i := len(pod.Spec.InitContainers) - 1; i >= 0; i-- {
			name := pod.Spec.InitContainers[i].Name
			left := max(int64(time.Until(deadline).Round(time.Second)/time.Second), min(grace, minGrace))
			w.stopStage(ctx, pod, left, rt, func(c *corev1.Container) bool { return c != nil && c.Name == name })
		}
		for _, s := range rt.Sandboxes {
			if _, err := w.Runtime.StopPodSandbox(ctx, &runtimev1.StopPodSandboxRequest{PodSandboxId: s.GetId()}); err != nil && !runtime.Gone(err) && ctx.Err() == nil {
				w.Recorder.Eventf(pod, corev1.EventTypeWarning, "FailedKillPod", "error killing pod: %s", runtime.Reason(err))
				w.mu.Lock()
				w.pause(taskTerminate)
				w.mu.Unlock()
				time.AfterFunc(retryMax, w.Wake)
			}
		}
	})
}

// stopStage stops all running containers that which picks, side by side.
func (w *Worker) stopStage(ctx context.Context, pod *corev1.Pod, grace int64, rt *runtime.Pod, which func(*corev1.Container) bool) {
	var all sync.WaitGroup
	for _, c := range rt.Containers {
		spec := specOf(pod, c.GetMetadata().GetName())
		if !c.Running() || !which(spec) {
			continue
		}
		all.Go(func() {
			w.stopContainer(ctx, pod, c.GetId(), spec, "Stopping container "+c.GetMetadata().GetName(), grace)
		})
	}
	all.Wait()
}

// remove takes away everything that is left of the Pod, and confirms its deletion to the API.
func (w *Worker) remove(ctx context.Context) {
	if w.finished {
		return
	}
	if w.emptied() && (w.gone || w.confirmed) {
		w.finished = w.gone
		return // or finalizers keep the object
	}
	pod, rt, gone := w.spec, w.rt, w.gone
	w.grace = 0 // less than none cannot be given: nothing calls this off, not the removal that it brings about
	if !gone {
		w.report(ctx) // how it ended is told before it is gone
	}
	w.spawn(ctx, taskTerminate, func(ctx context.Context) {
		if err := w.clean(ctx, pod, rt, gone); err != nil && ctx.Err() == nil {
			w.Recorder.Eventf(pod, corev1.EventTypeWarning, "FailedKillPod", "error removing pod: %s", runtime.Reason(err))
			w.mu.Lock()
			w.pause(taskTerminate)
			w.mu.Unlock()
			time.AfterFunc(retryMax, w.Wake)
		}
	})
}

// emptied tells whether nothing of the Pod is left on the node.
func (w *Worker) emptied() bool {
	if len(w.rt.Sandboxes)+len(w.rt.Containers) > 0 {
		return false
	}
	for _, dir := range []string{w.logDir(), w.Volumes.PodDir(w.uid)} {
		if _, err := os.Lstat(dir); err == nil {
			return false
		}
	}
	return true
}

func (w *Worker) clean(ctx context.Context, pod *corev1.Pod, rt *runtime.Pod, gone bool) error {
	if !gone {
		if err := w.writer.Flush(ctx); err != nil {
			return err
		}
	}
	for _, s := range rt.Sandboxes {
		if _, err := w.Runtime.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: s.GetId()}); err != nil && !runtime.Gone(err) {
			return err
		}
	}
	for _, c := range rt.Containers {
		if _, err := w.Runtime.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: c.GetId()}); err != nil && !runtime.Gone(err) {
			return err
		}
	}
	if err := w.Volumes.Remove(w.uid); err != nil {
		return err
	}
	if err := os.RemoveAll(w.logDir()); err != nil {
		return fmt.Errorf("remove logs: %w", err)
	}
	if gone {
		return nil
	}
	w.mu.Lock()
	w.cleared = true // before the API knows: another Pod may be here sooner than its answer
	w.mu.Unlock()
	return w.confirm(ctx, pod)
}

// confirm tells the API that the Pod may vanish: nothing of it is left here.
func (w *Worker) confirm(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := w.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("confirm deletion: %w", err)
	}
	w.mu.Lock()
	w.confirmed = true
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || len(pod.Finalizers) == 0 {
		w.gone = true
	}
	w.mu.Unlock()
	return nil
}
