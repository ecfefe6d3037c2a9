package security

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
)

// ReasonSysctl is of a Pod that asks for a sysctl which it may not set.
const ReasonSysctl = "SysctlForbidden"

// safeSysctls are those that every Pod may set: they change nothing outside of the Pod, and need not more of the node than
// the Pod is given (Kubernetes, "Using sysctls in a Kubernetes cluster").
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
	"net.ipv4.tcp_wmem", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat",
}

// ForbiddenSysctl says which sysctl the Pod may not set, as the kubelet does; empty if it may set all that it asks for.
// unsafe are those allowed beside the safe ones, by name or, with a * at the end, by how they begin.
func ForbiddenSysctl(pod *corev1.Pod, unsafe []string) string {
	if pod.Spec.SecurityContext == nil {
		return ""
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		name := sysctl.NormalizeName(s.Name)
		if !slices.Contains(safeSysctls, name) && !slices.ContainsFunc(unsafe, func(pattern string) bool { return matchesSysctl(pattern, name) }) {
			return fmt.Sprintf("forbidden sysctl: %q not allowlisted", s.Name)
		}
		if ns, _, _ := sysctl.GetNamespace(name); hostHas(pod, ns) {
			return fmt.Sprintf("forbidden sysctl: %q not allowed with host %s enabled", s.Name, ns)
		}
	}
	return ""
}

func matchesSysctl(pattern, name string) bool {
	_, pattern, prefixed := sysctl.GetNamespace(pattern)
	return pattern == name || prefixed && strings.HasPrefix(name, pattern)
}

// hostHas tells whether the Pod shares a namespace with the host.
func hostHas(pod *corev1.Pod, ns sysctl.Namespace) bool {
	switch ns {
	case sysctl.IPCNamespace:
		return pod.Spec.HostIPC
	case sysctl.NetNamespace:
		return pod.Spec.HostNetwork
	case sysctl.UserNamespace:
		return !OwnUsers(pod)
	}
	return false
}
