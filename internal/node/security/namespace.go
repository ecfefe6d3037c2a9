package security

import (
	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// OwnUsers tells whether the Pod is to have a user namespace of its own.
func OwnUsers(pod *corev1.Pod) bool { return pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers }

// Users returns a user namespace of that many IDs, which on the host begin with id.
func Users(id, length uint32) *runtimev1.UserNamespace {
	mappings := []*runtimev1.IDMapping{{HostId: id, ContainerId: 0, Length: length}}
	return &runtimev1.UserNamespace{Mode: runtimev1.NamespaceMode_POD, Uids: mappings, Gids: mappings}
}

// Namespaces returns the namespaces that the Pod's containers live in. users is nil for the host's.
func Namespaces(pod *corev1.Pod, users *runtimev1.UserNamespace) *runtimev1.NamespaceOption {
	out := &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER, UsernsOptions: users}
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
	return out
}

// Target returns the namespaces of an ephemeral container that joins the process namespace of container targetID.
// A Pod that shares its process namespace, or the node's, shows the target already.
func Target(pod *corev1.Pod, users *runtimev1.UserNamespace, targetID string) *runtimev1.NamespaceOption {
	out := Namespaces(pod, users)
	if targetID != "" && out.Pid == runtimev1.NamespaceMode_CONTAINER {
		out.Pid, out.TargetId = runtimev1.NamespaceMode_TARGET, targetID
	}
	return out
}
