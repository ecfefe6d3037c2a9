package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mayfly needs mount_setattr(2), new in Linux 5.12.
const minMajor, minMinor = 5, 12

func checkUser(context.Context, Config) Finding {
	if uid := os.Geteuid(); uid != 0 {
		return fatal("run it as root, with sudo for example", "user %d may not create containers", uid)
	}
	return ok("root")
}

func checkKernel(context.Context, Config) Finding {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fatal("", "uname: %v", err)
	}
	return judgeKernel(unix.ByteSliceToString(uts.Release[:]))
}

// judgeKernel takes a release as uname -r prints it, such as 6.1.0-26-amd64.
func judgeKernel(release string) Finding {
	remedy := fmt.Sprintf("boot Linux %d.%d or later", minMajor, minMinor)
	major, minor, err := parseRelease(release)
	if err != nil {
		return warning(remedy, "%v", err)
	}
	if major < minMajor || major == minMajor && minor < minMinor {
		return fatal(remedy, "Linux %s is too old", release)
	}
	return ok("Linux %s", release)
}

// parseRelease reads the first two numbers of a kernel release.
func parseRelease(release string) (major, minor int, err error) {
	first, rest, found := strings.Cut(release, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	major, errMajor := strconv.Atoi(first)
	minor, errMinor := strconv.Atoi(rest)
	if !found || errMajor != nil || errMinor != nil {
		return 0, 0, fmt.Errorf("kernel release %q has no version number", release)
	}
	return major, minor, nil
}

// needed returns the capabilities without which no container starts: what building one takes, and what the default set
// of a container holds, since nobody can hand out what he lacks.
func needed() []capability {
	return []capability{
		{unix.CAP_SYS_ADMIN, "SYS_ADMIN"},
		{unix.CAP_NET_ADMIN, "NET_ADMIN"},
		{unix.CAP_SYS_CHROOT, "SYS_CHROOT"},
		{unix.CAP_SYS_PTRACE, "SYS_PTRACE"},
		{unix.CAP_MKNOD, "MKNOD"},
		{unix.CAP_CHOWN, "CHOWN"},
		{unix.CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
		{unix.CAP_FOWNER, "FOWNER"},
		{unix.CAP_FSETID, "FSETID"},
		{unix.CAP_KILL, "KILL"},
		{unix.CAP_SETUID, "SETUID"},
		{unix.CAP_SETGID, "SETGID"},
		{unix.CAP_SETPCAP, "SETPCAP"},
		{unix.CAP_SETFCAP, "SETFCAP"},
		{unix.CAP_NET_RAW, "NET_RAW"},
		{unix.CAP_NET_BIND_SERVICE, "NET_BIND_SERVICE"},
		{unix.CAP_AUDIT_WRITE, "AUDIT_WRITE"},
	}
}

type capability struct {
	number uint
	name   string
}

func checkCapabilities(context.Context, Config) Finding {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fatal("mount procfs on /proc", "read /proc/self/status: %v", err)
	}
	set, err := effective(string(status))
	if err != nil {
		return fatal("", "%v", err)
	}
	return judgeCapabilities(set)
}

// effective reads the effective capability set from the text of /proc/PID/status, proc(5).
func effective(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if value, found := strings.CutPrefix(line, "CapEff:"); found {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no CapEff line")
}

func judgeCapabilities(set uint64) Finding {
	var missing []string
	for _, c := range needed() {
		if set&(1<<c.number) == 0 {
			missing = append(missing, c.name)
		}
	}
	switch {
	case len(missing) > 0:
		return fatal("run Mayfly with these capabilities (in a container: --privileged; under systemd: remove them from CapabilityBoundingSet=)",
			"missing %s", strings.Join(missing, ", "))
	case set&(1<<unix.CAP_SYS_RESOURCE) == 0:
		return warning("add SYS_RESOURCE to what Mayfly runs with",
			"SYS_RESOURCE is missing: out-of-memory scores cannot be lowered, nor limits raised, below what Mayfly has itself")
	}
	return ok("all %d that containers need", len(needed()))
}

func checkSeccomp(context.Context, Config) Finding {
	const path = "/proc/sys/kernel/seccomp/actions_avail"
	actions, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(actions), "errno") {
		return fatal("boot a kernel with CONFIG_SECCOMP_FILTER=y", "the kernel has no system call filters")
	}
	return ok("filters")
}
