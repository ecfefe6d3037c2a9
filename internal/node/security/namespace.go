package security

import (
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Namespaces returns the namespaces that the Pod's containers live in. HostUsers is passed on, so that a runtime
// without user namespaces refuses instead of ignoring it.
func Namespaces(pod *corev1.Pod) *runtimev1.NamespaceOption {
	out := &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER}
	if pod.Spec.HostNetwork {
		out.Network = runtimev1.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		out.Ipc = runtimev1.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		out.Pid = runtimev1.NamespaceMode_NODE
	case isTrue(pod.Spec.ShareProcessNamespace):
		out.Pid = runtimev1.NamespaceMode_POD
	}
	if users := pod.Spec.HostUsers; users != nil && !*users {
		out.UsernsOptions = &runtimev1.UserNamespace{Mode: runtimev1.NamespaceMode_POD}
	}
	return out
}

// Target returns the namespaces of an ephemeral container that joins the process namespace of container targetID.
// A Pod that shares its process namespace, or the node's, shows the target already.
func Target(pod *corev1.Pod, targetID string) *runtimev1.NamespaceOption {
	out := Namespaces(pod)
	if targetID != "" && out.Pid == runtimev1.NamespaceMode_CONTAINER {
		out.Pid, out.TargetId = runtimev1.NamespaceMode_TARGET, targetID
	}
	return out
}
