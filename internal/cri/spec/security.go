package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var errUnknown = fmt.Errorf("not known: %w", errdefs.ErrInvalidArgument)

// defaultMasked and defaultReadonly serve clients that send no security context at all; others say what they want.
// They are the lists of containerd and of the kubelet's default proc mount.
func defaultMasked() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

func defaultReadonly() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// hidePaths sets masked and read-only paths. A client that sends a security context with empty lists means it: that
// is how an unmasked /proc is asked for.
func hidePaths(in *Input, linux *specs.Linux) {
	switch sc := in.security(); {
	case sc == nil:
		linux.MaskedPaths, linux.ReadonlyPaths = defaultMasked(), defaultReadonly()
	case !sc.GetPrivileged():
		linux.MaskedPaths, linux.ReadonlyPaths = sc.GetMaskedPaths(), sc.GetReadonlyPaths()
	}
}

// localSeccomp reads a profile that the administrator put on the node.
func localSeccomp(ref string) (*specs.LinuxSeccomp, error) {
	path := strings.TrimPrefix(ref, "localhost/")
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("seccomp profile %q: not an absolute path: %w", ref, errdefs.ErrInvalidArgument)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	profile := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, profile); err != nil {
		return nil, fmt.Errorf("decode seccomp profile %s: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	if profile.DefaultAction == "" {
		return nil, fmt.Errorf("seccomp profile %s: no defaultAction: %w", path, errdefs.ErrInvalidArgument)
	}
	return profile, nil
}
