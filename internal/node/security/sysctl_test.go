package security

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestForbiddenSysctl(t *testing.T) {
	unsafe := []string{"net.core.somaxconn", "kernel.msg*", "net/ipv6/*"}
	for name, c := range map[string]struct {
		sysctl string
		spec   corev1.PodSpec
		want   string
	}{
		"safe":              {sysctl: "net.ipv4.tcp_syncookies"},
		"safe, by slashes":  {sysctl: "net/ipv4/tcp_syncookies"},
		"allowed":           {sysctl: "net.core.somaxconn"},
		"by its beginning":  {sysctl: "kernel.msgmax"},
		"deep":              {sysctl: "net.ipv6.conf.all.disable_ipv6"},
		"unsafe":            {sysctl: "kernel.shmmax", want: `"kernel.shmmax" not allowlisted`},
		"the host's":        {sysctl: "vm.swappiness", want: `"vm.swappiness" not allowlisted`},
		"on host's network": {sysctl: "net.ipv4.tcp_syncookies", spec: corev1.PodSpec{HostNetwork: true}, want: "not allowed with host Net enabled"},
		"in host's IPC":     {sysctl: "kernel.msgmax", spec: corev1.PodSpec{HostIPC: true}, want: "not allowed with host IPC enabled"},
	} {
		c.spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: c.sysctl, Value: "1"}}}
		if got := ForbiddenSysctl(&corev1.Pod{Spec: c.spec}, unsafe); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
