package pod

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"

	"github.com/mayfly-run/mayfly/internal/node/env"
	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/security"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// Annotations that the agent puts on containers, named as the kubelet's, to know them again after a restart.
const (
	annotationHash          = "io.kubernetes.container.hash"
	annotationRestarts      = "io.kubernetes.container.restartCount"
	annotationMessagePath   = "io.kubernetes.container.terminationMessagePath"
	annotationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
	annotationGrace         = "io.kubernetes.pod.terminationGracePeriod"
	// annotationBackOff, of our own, is how long a restart waits once this run has ended.
	annotationBackOff = "io.mayfly.container.backOff"
)

// logPath is a container's log below the Pod's log directory.
func logPath(container string, attempt uint32) string {
	return filepath.Join(container, strconv.FormatUint(uint64(attempt), 10)+".log")
}

// containerConfig makes the CRI's description of the container.
func (w *Worker) containerConfig(ctx context.Context, l launch, img *runtimev1.Image) (*runtimev1.ContainerConfig, error) {
	c, ips := l.container, status.PodIPs(l.pod, l.rt, w.HostIPs)
	vars, err := env.Build(ctx, envSource{w.Objects, w.Volumes}, env.Input{
		Pod: l.pod, Container: c, Allocatable: w.Allocatable, Addresses: env.Addresses{HostIPs: w.HostIPs, PodIPs: ips},
		Extra: env.API(w.API, w.HostIPs[0], l.pod.Spec.HostNetwork),
	})
	if err != nil {
		return nil, err
	}
	mounts, err := w.mounts(ctx, l, vars, ips)
	if err != nil {
		return nil, err
	}
	mapUsers(mounts, l.users())
	if security.Effective(l.pod, c).SELinuxOptions != nil && !security.HasSELinux() {
		w.event(l.pod, c.Name, corev1.EventTypeWarning, "SELinuxIgnored", "This machine's kernel has no SELinux: the container gets no label")
	}
	return &runtimev1.ContainerConfig{
		Metadata:    &runtimev1.ContainerMetadata{Name: c.Name, Attempt: l.attempt},
		Image:       &runtimev1.ImageSpec{Image: img.GetId(), UserSpecifiedImage: c.Image},
		Command:     env.ExpandAll(c.Command, vars.Lookup),
		Args:        env.ExpandAll(c.Args, vars.Lookup),
		WorkingDir:  c.WorkingDir,
		Envs:        vars.Pairs(),
		Mounts:      mounts,
		Labels:      containerLabels(l.pod, c),
		Annotations: containerAnnotations(l),
		LogPath:     logPath(c.Name, l.attempt),
		Stdin:       c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		StopSignal:  stopSignal(c),
		Linux: &runtimev1.LinuxContainerConfig{
			Resources:       w.resources(l),
			SecurityContext: security.Container(l.pod, c, w.namespaces(l), nil),
		},
	}, nil
}

func (w *Worker) resources(l launch) *runtimev1.LinuxContainerResources {
	if l.ephemeral != nil {
		return resource.Ephemeral(w.Caps)
	}
	return resource.Linux(l.pod, l.container, w.Capacity.Memory().Value())
}

func (w *Worker) namespaces(l launch) *runtimev1.NamespaceOption {
	if l.ephemeral == nil || l.ephemeral.TargetContainerName == "" {
		return security.Namespaces(l.pod, l.users())
	}
	return security.Target(l.pod, l.users(), l.rt.Latest(l.ephemeral.TargetContainerName).GetId())
}

func containerLabels(pod *corev1.Pod, c *corev1.Container) map[string]string {
	return map[string]string{
		labels.KubernetesPodNameLabel:       pod.Name,
		labels.KubernetesPodNamespaceLabel:  pod.Namespace,
		labels.KubernetesPodUIDLabel:        string(pod.UID),
		labels.KubernetesContainerNameLabel: c.Name,
	}
}

func containerAnnotations(l launch) map[string]string {
	out := map[string]string{
		annotationHash:          Hash(l.container),
		annotationRestarts:      strconv.FormatUint(uint64(l.attempt), 10),
		annotationMessagePath:   l.container.TerminationMessagePath,
		annotationMessagePolicy: string(l.container.TerminationMessagePolicy),
	}
	if grace := l.pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		out[annotationGrace] = strconv.FormatInt(*grace, 10)
	}
	if resource.RestartsFor(l.container, corev1.ResourceMemory) {
		out[resource.AnnotationMemoryRequest] = resource.MemoryRequest(l.container)
	}
	if l.pause > 0 {
		out[annotationBackOff] = l.pause.String()
	}
	return out
}

func stopSignal(c *corev1.Container) runtimev1.Signal {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return runtimev1.Signal_SIGNAL_RUNTIME_DEFAULT
	}
	return runtimev1.Signal(runtimev1.Signal_value["SIGNAL_"+string(*c.Lifecycle.StopSignal)])
}

// messagePath is the file that a run of a container may leave its termination message in.
func (w *Worker) messagePath(container string, attempt uint32) string {
	return filepath.Join(w.Volumes.PodDir(w.uid), "containers", container, fmt.Sprintf("termination-%d", attempt))
}
