package pod

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// The resources of a running container may be changed in the Pod's spec. The runtime tells what a container has, so
// nothing has to be remembered: what differs is updated in place, or by a restart where the container's resize policy
// asks for one.

// resize is a container whose resources are to be changed while it runs.
type resize struct {
	container *runtime.Container
	spec      *corev1.Container
}

// resized looks whether a running container has the resources that it is to have.
func (d *decision) resized(c *corev1.Container, latest *runtime.Container) {
	cpu, memory := resource.Pending(c, latest.Limits())
	memory = memory || resource.RequestPending(c, latest.GetAnnotations())
	switch {
	case cpu && resource.RestartsFor(c, corev1.ResourceCPU), memory && resource.RestartsFor(c, corev1.ResourceMemory):
		d.kills = append(d.kills, kill{container: latest, spec: c, message: "Container " + c.Name + " resize requires restart", again: true})
	case cpu, memory:
		d.resizes = append(d.resizes, resize{container: latest, spec: c})
	}
}

// startResize starts the task that changes a container's resources.
func (w *Worker) startResize(ctx context.Context, r resize) {
	pod, name, id, key := w.spec, r.spec.Name, r.container.GetId(), "/resize/"+r.spec.Name
	if w.isBusy(name) || w.pausedFor(key) > 0 {
		return
	}
	want := resource.Linux(w.spec, r.spec, w.Capacity.Memory().Value())
	want.OomScoreAdj = 0 // as it was: it cannot be lowered again
	w.spawnKnown(ctx, name, func(ctx context.Context) bool {
		err := w.aboveUsage(ctx, r, want.MemoryLimitInBytes)
		if err == nil {
			err = w.around(ctx, pod, func() error {
				_, err := w.Runtime.UpdateContainerResources(ctx, &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: want})
				return err
			})
		}
		if err == nil {
			w.running(ctx, name, id, r.container.SandboxID)
		}
		if ctx.Err() != nil {
			return false
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		cpu, memory := resource.Pending(r.spec, w.rt.ByID(id).Limits())
		delete(w.resizeFailed, name)
		switch {
		case err != nil:
			w.resizeFailed[name] = runtime.Reason(err)
			w.pause(key)
		case cpu || memory: // the runtime does not do what it says: not in a busy loop
			w.pause(key)
		default:
			w.retry.Forget(key)
		}
		return true
	})
}

// aboveUsage refuses a memory limit that is lower than before and than what the container uses: as with the kubelet, it is
// not left to the kernel, which would kill processes, or take its time to free what it can.
func (w *Worker) aboveUsage(ctx context.Context, r resize, limit int64) error {
	if have := r.container.Limits().GetMemoryLimitInBytes(); limit == 0 || have != 0 && limit >= have {
		return nil
	}
	answer, err := w.Runtime.ContainerStats(ctx, &runtimev1.ContainerStatsRequest{ContainerId: r.container.GetId()})
	if err != nil {
		return fmt.Errorf("unable to read memory usage of container %q: %w", r.spec.Name, err)
	}
	if usage := answer.GetStats().GetMemory().GetUsageBytes().GetValue(); usage >= uint64(limit) {
		return fmt.Errorf("cannot decrease memory limits: attempting to set container %q memory limit (%d) below current usage (%d)", r.spec.Name, limit, usage)
	}
	return nil
}

// containersOf pairs the Pod's containers with their statuses.
func containersOf(pod *corev1.Pod, do func(c *corev1.Container, s *corev1.ContainerStatus)) {
	for i := range pod.Spec.InitContainers {
		do(&pod.Spec.InitContainers[i], status.Find(pod.Status.InitContainerStatuses, pod.Spec.InitContainers[i].Name))
	}
	for i := range pod.Spec.Containers {
		do(&pod.Spec.Containers[i], status.Find(pod.Status.ContainerStatuses, pod.Spec.Containers[i].Name))
	}
}

// given is the Pod with the resources that its containers have, as far as its status tells.
func given(pod *corev1.Pod) *corev1.Pod {
	out := pod.DeepCopy()
	containersOf(out, func(c *corev1.Container, s *corev1.ContainerStatus) {
		if s != nil && s.Resources != nil {
			c.Resources = *s.Resources.DeepCopy()
		}
	})
	return out
}

// hold gives the Pod with the resources that its containers were granted. If it asks for others, it is wanted: admit has
// to say whether they can be had.
func hold(pod *corev1.Pod) (held, wanted *corev1.Pod) {
	asks := false
	containersOf(pod, func(c *corev1.Container, s *corev1.ContainerStatus) {
		asks = asks || s != nil && s.Resources != nil && !equality.Semantic.DeepEqual(s.AllocatedResources, c.Resources.Requests)
	})
	if asks {
		return given(pod), pod
	}
	return pod, nil
}

// admit grants the resources that the API asks for once there is room for them beside the node's other Pods.
func (w *Worker) admit() {
	w.mu.Lock()
	wanted := w.wanted
	w.mu.Unlock()
	w.resizeWaits.Store(wanted != nil) // room that is freed from now on is news
	if wanted == nil {
		return
	}
	w.admission.Lock() // so that two do not take the same room
	defer w.admission.Unlock()
	message, never := resource.Shortage(wanted, w.Claimed(w.uid), w.Allocatable)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.wanted != wanted: // there is news already, and a wake-up with it
	case message == "":
		w.freed = true // it may be less than before
		if w.confined == nil {
			w.confined = resource.PodCgroup(w.spec, 0)
		}
		w.spec, w.wanted, w.resizePending = wanted, nil, status.Waiting{}
	case never:
		w.resizePending = status.Waiting{Reason: corev1.PodReasonInfeasible, Message: message}
	default:
		w.resizePending = status.Waiting{Reason: corev1.PodReasonDeferred, Message: message}
	}
}

// RoomFreed tells the Worker that the node has more room than before.
func (w *Worker) RoomFreed() {
	if w.resizeWaits.Load() {
		w.Wake()
	}
}
