package status

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// Waiting says why a container does not run, in the kubelet's words.
type Waiting struct{ Reason, Message string }

// Verdict ends a Pod from outside: its deadline, say. The phase becomes Failed once its containers have stopped.
type Verdict struct {
	Reason, Message string
	// Rejected says that the node never had anything of the Pod.
	Rejected bool
}

// Input is everything that a Pod's status depends on.
type Input struct {
	Pod         *corev1.Pod
	Runtime     *runtime.Pod
	RuntimeName string
	HostIPs     []string
	// Waiting holds the containers, by name, that the node could not start or will start later.
	Waiting map[string]Waiting
	// Ready and Started are the probes' word about a container that runs.
	Ready, Started func(name string) bool
	// Message reads the termination message of a container that has exited.
	Message func(*runtime.Container) string
	Verdict *Verdict
	// Renewing says that all containers are being started anew, so that the end of one tells nothing about the Pod.
	Renewing bool
	// ResizePending says why the node does not give containers the resources that the API's spec asks for; Pod has
	// those that it gives. ResizeFailed says, by container, why that did not work out.
	ResizePending Waiting
	ResizeFailed  map[string]string
	// Stopping says that no container will be started any more.
	Stopping bool
	Now      time.Time
}

// Compute returns the Pod's status. It does not change its input.
func Compute(in Input) corev1.PodStatus {
	old := &in.Pod.Status
	out := *old.DeepCopy()
	out.ObservedGeneration = in.Pod.Generation
	out.QOSClass = resource.QOS(in.Pod)
	if out.StartTime == nil {
		now := metav1.NewTime(in.Now.Truncate(time.Second))
		out.StartTime = &now
	}
	if in.rejected() {
		return in.reject(out)
	}
	in.addresses(&out)
	out.InitContainerStatuses = in.list(in.Pod.Spec.InitContainers, old.InitContainerStatuses, initContainer)
	out.ContainerStatuses = in.list(in.Pod.Spec.Containers, old.ContainerStatuses, appContainer)
	out.EphemeralContainerStatuses = in.list(ephemerals(in.Pod), old.EphemeralContainerStatuses, ephemeralContainer)
	out.Phase = in.phase(&out)
	if in.Verdict != nil {
		out.Reason, out.Message = in.Verdict.Reason, in.Verdict.Message
	}
	in.conditions(&out)
	return out
}

// rejected tells whether the node did not take the Pod, now or when its status was written: then it has no containers
// that could have one.
func (in *Input) rejected() bool {
	if in.Verdict != nil {
		return in.Verdict.Rejected
	}
	old := &in.Pod.Status
	return old.Phase == corev1.PodFailed && len(old.ContainerStatuses) == 0 && in.Runtime.Sandbox() == nil
}

// reject leaves a Pod that was not taken as it came, but for the reason.
func (in *Input) reject(out corev1.PodStatus) corev1.PodStatus {
	out.Phase = corev1.PodFailed
	if in.Verdict != nil {
		out.Reason, out.Message = in.Verdict.Reason, in.Verdict.Message
	}
	return out
}

func (in *Input) addresses(out *corev1.PodStatus) {
	out.HostIPs = nil
	for _, ip := range in.HostIPs {
		out.HostIPs = append(out.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		out.HostIP = in.HostIPs[0]
	}
	if ips := PodIPs(in.Pod, in.Runtime, in.HostIPs); len(ips) > 0 {
		out.PodIP, out.PodIPs = ips[0], nil
		for _, ip := range ips {
			out.PodIPs = append(out.PodIPs, corev1.PodIP{IP: ip})
		}
	}
}

// PodIPs returns the Pod's addresses: its sandbox's, or the node's if it shares the node's network.
func PodIPs(pod *corev1.Pod, rt *runtime.Pod, hostIPs []string) []string {
	if pod.Spec.HostNetwork {
		return hostIPs
	}
	network := rt.Sandbox().GetNetwork()
	if network.GetIp() == "" {
		return nil
	}
	ips := []string{network.GetIp()}
	for _, more := range network.GetAdditionalIps() {
		ips = append(ips, more.GetIp())
	}
	return ips
}

func ephemerals(pod *corev1.Pod) []corev1.Container {
	list := make([]corev1.Container, 0, len(pod.Spec.EphemeralContainers))
	for i := range pod.Spec.EphemeralContainers {
		list = append(list, corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return list
}

// Sidecar tells whether an init container goes on beside the others.
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
