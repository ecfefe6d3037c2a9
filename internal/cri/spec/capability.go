package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Known returns the names of all capabilities, at the index of their number (capability.h of Linux 6.18).
func Known() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
		"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
		"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// defaults returns what a container may do when the client says nothing: containerd's list.
func defaults() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// capabilities returns the process's sets. Inheritable stays empty unless ambient ones are asked (CVE-2022-24769).
func capabilities(sc *runtimev1.LinuxContainerSecurityContext) (*specs.LinuxCapabilities, error) {
	if sc.GetPrivileged() {
		all := Known()
		return &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}, nil
	}
	asked := sc.GetCapabilities()
	set := defaults()
	if slices.ContainsFunc(asked.GetAddCapabilities(), isAll) {
		set = Known()
	}
	if slices.ContainsFunc(asked.GetDropCapabilities(), isAll) {
		set = nil
	}
	for _, list := range []struct {
		names []string
		apply func([]string, string) []string
	}{
		{asked.GetAddCapabilities(), with},
		{asked.GetDropCapabilities(), without},
		{asked.GetAddAmbientCapabilities(), with},
	} {
		for _, name := range list.names {
			if isAll(name) {
				continue
			}
			full, err := canonical(name)
			if err != nil {
				return nil, err
			}
			set = list.apply(set, full)
		}
	}
	var ambient []string
	for _, name := range asked.GetAddAmbientCapabilities() {
		if full, err := canonical(name); err == nil {
			ambient = append(ambient, full)
		}
	}
	return &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set, Inheritable: ambient, Ambient: ambient}, nil
}

func canonical(name string) (string, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "CAP_") {
		full = "CAP_" + full
	}
	if !slices.Contains(Known(), full) {
		return "", fmt.Errorf("unknown capability %q: %w", name, errdefs.ErrInvalidArgument)
	}
	return full, nil
}

func isAll(name string) bool {
	return strings.EqualFold(name, "ALL") || strings.EqualFold(name, "CAP_ALL")
}

func with(set []string, name string) []string {
	if slices.Contains(set, name) {
		return set
	}
	return append(set, name)
}

func without(set []string, name string) []string {
	return slices.DeleteFunc(set, func(have string) bool { return have == name })
}
