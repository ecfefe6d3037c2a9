package pod

import (
	"context"

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
	if !cpu && !memory {
		return
	}
	for _, p := range c.ResizePolicy {
		concerned := p.ResourceName == corev1.ResourceCPU && cpu || p.ResourceName == corev1.ResourceMemory && memory
		if concerned && p.RestartPolicy == corev1.RestartContainer {
			d.kills = append(d.kills, kill{container: latest, spec: c, message: "Container " + c.Name + " resize requires restart", again: true})
			return
		}
	}
	d.resizes = append(d.resizes, resize{container: latest, spec: c})
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
		err := w.around(ctx, pod, func() error {
			_, err := w.Runtime.UpdateContainerResources(ctx, &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: want})
			return err
		})
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

// hold gives the Pod with the resources that its containers were granted. If it asks for others, it is wanted: admit has
// to say whether they can be had.
func hold(pod *corev1.Pod) (held, wanted *corev1.Pod) {
	held = pod
	for _, kind := range []struct {
		of       func(*corev1.Pod) []corev1.Container
		statuses []corev1.ContainerStatus
	}{
		{func(p *corev1.Pod) []corev1.Container { return p.Spec.InitContainers }, pod.Status.InitContainerStatuses},
		{func(p *corev1.Pod) []corev1.Container { return p.Spec.Containers }, pod.Status.ContainerStatuses},
	} {
		for i, c := range kind.of(pod) {
			s := status.Find(kind.statuses, c.Name)
			if s == nil || s.Resources == nil || equality.Semantic.DeepEqual(s.AllocatedResources, c.Resources.Requests) {
				continue
			}
			if wanted == nil {
				held, wanted = pod.DeepCopy(), pod
			}
			kind.of(held)[i].Resources = *s.Resources.DeepCopy()
		}
	}
	return held, wanted
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
