package pod

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
)

// Cgroups limits what the CRI leaves to the kubelet: the cgroups of Pods, and of their classes of service.
type Cgroups interface {
	// LimitCgroup makes a cgroup unless it is there, and limits it; zero fields stay as they are. It is named as in
	// LinuxPodSandboxConfig.cgroup_parent.
	LimitCgroup(ctx context.Context, name string, limits *runtimev1.LinuxContainerResources) error
}

func (w *Worker) limitCgroup(ctx context.Context, pod *corev1.Pod, limits *runtimev1.LinuxContainerResources) error {
	if w.Cgroups == nil {
		return nil
	}
	if err := w.Cgroups.LimitCgroup(ctx, resource.CgroupParent(w.CgroupRoot, w.Slices, pod), limits); err != nil {
		return fmt.Errorf("limit the pod's cgroup: %w", err)
	}
	return nil
}

// resizedFrom remembers how the Pod's cgroup is limited when the Pod is to have other resources than before: limits may
// change without a request, for which the node need not find room. Called with mu held.
func (w *Worker) resizedFrom(before *corev1.Pod) {
	if w.confined != nil {
		return
	}
	if have := resource.PodCgroup(before, 0); !proto.Equal(have, resource.PodCgroup(w.spec, 0)) {
		w.confined = have
	}
}

// around changes something within the Pod's cgroup, which meanwhile is limited neither to less than before nor to less
// than it is to be: no cgroup may have less than one below it.
func (w *Worker) around(ctx context.Context, pod *corev1.Pod, change func() error) error {
	want := resource.PodCgroup(pod, 0)
	w.mu.Lock()
	have := w.confined
	w.mu.Unlock()
	if proto.Equal(have, want) {
		return change()
	}
	first := want
	if have != nil {
		first = resource.Larger(have, want)
	}
	if err := w.limitCgroup(ctx, pod, first); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	if err := w.limitCgroup(ctx, pod, want); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confined = want
	return nil
}

// fit limits the Pod's cgroup as it is to be now, if it was resized.
func (w *Worker) fit(ctx context.Context, pod *corev1.Pod) error {
	w.mu.Lock()
	resized := w.confined != nil
	w.mu.Unlock()
	if !resized {
		return nil
	}
	return w.around(ctx, pod, func() error { return nil })
}
