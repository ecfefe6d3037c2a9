package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup file system.
type hierarchy struct {
	path string
	// v2 tells the unified hierarchy; controllers are those that can be used in it.
	v2          bool
	controllers []string
}

// layout is what a machine has of cgroups.
type layout []hierarchy

func checkCgroups(context.Context, Config) Finding {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fatal("mount procfs on /proc", "read /proc/self/mounts: %v", err)
	}
	found := parseLayout(string(mounts))
	for i, h := range found {
		if h.v2 {
			controllers, _ := os.ReadFile(filepath.Join(h.path, "cgroup.controllers"))
			found[i].controllers = strings.Fields(string(controllers))
		}
	}
	return judgeLayout(found, func(path string) bool { return unix.Access(path, unix.W_OK) == nil })
}

// parseLayout reads the cgroup mounts from the text of /proc/self/mounts. The controllers of a v1 hierarchy stand in
// its mount options; those of v2 do not.
func parseLayout(mounts string) layout {
	var found layout
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		path, kind, options := fields[1], fields[2], strings.Split(fields[3], ",")
		switch kind {
		case "cgroup2":
			found = append(found, hierarchy{path: path, v2: true})
		case "cgroup":
			found = append(found, hierarchy{path: path, controllers: options})
		}
	}
	return found
}

func (l layout) with(controller string) (hierarchy, bool) {
	for _, h := range l {
		if slices.Contains(h.controllers, controller) {
			return h, true
		}
	}
	return hierarchy{}, false
}

// kind names the layout in the usual words.
func (l layout) kind() string {
	var v1, v2 bool
	for _, h := range l {
		v1, v2 = v1 || !h.v2, v2 || h.v2
	}
	switch {
	case v1 && v2:
		return "hybrid"
	case v2:
		return "v2"
	default:
		return "v1"
	}
}

func judgeLayout(l layout, writable func(string) bool) Finding {
	if len(l) == 0 {
		return fatal("mount -t cgroup2 none /sys/fs/cgroup", "no cgroup file system is mounted")
	}
	var missing []string
	for _, controller := range []string{"cpu", "memory", "pids"} {
		h, found := l.with(controller)
		if !found {
			missing = append(missing, controller)
			continue
		}
		if !writable(h.path) {
			return fatal("mount -o remount,rw "+h.path, "%s is not writable", h.path)
		}
	}
	if len(missing) > 0 {
		return warning("boot with cgroup_enable=memory or a kernel that has them",
			"cgroup %s without the controllers %s: their limits are not kept", l.kind(), strings.Join(missing, ", "))
	}
	return ok("%s, with cpu, memory and pids", l.kind())
}
