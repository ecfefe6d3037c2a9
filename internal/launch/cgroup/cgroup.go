// Package cgroup makes, limits, measures and removes cgroups of v1, v2 and hybrid hosts.
//
// A Group is one path in every hierarchy that has controllers: on v2 a single directory,
// on v1 one for each hierarchy. Limits come as the OCI runtime specification has them; on
// v2 they are converted as that specification's runtimes do.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsupported marks limits that the machine's cgroups cannot hold.
var ErrUnsupported = errors.New("not supported by this machine's cgroups")

// Host is the layout of the machine's hierarchies.
type Host struct {
	// v1 holds mount points by controller; "name=systemd" as well.
	v1 map[string]string
	// v2 is the mount point of the unified hierarchy that has controllers; empty for none.
	v2 string
}

// Open finds the hierarchies that are mounted.
func Open() (*Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	h := &Host{v1: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		h.addMount(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	if h.v2 == "" && len(h.v1) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted")
	}
	return h, nil
}

// addMount reads a line of mountinfo (proc(5)): fields, a dash, type, source, super options.
func (h *Host) addMount(line string) {
	before, after, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 5 || len(rest) < 3 {
		return
	}
	point := fields[4]
	switch rest[0] {
	case "cgroup2":
		controllers, err := os.ReadFile(filepath.Join(point, "cgroup.controllers"))
		// A hybrid host's unified hierarchy lacks what matters.
		if err == nil && strings.Contains(string(controllers), "memory") && h.v2 == "" {
			h.v2 = point
		}
	case "cgroup":
		for _, option := range strings.Split(rest[2], ",") {
			if _, known := h.v1[option]; !known && (slices.Contains(controllers(), option) || strings.HasPrefix(option, "name=")) {
				h.v1[option] = point
			}
		}
	}
}

func controllers() []string {
	return []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "perf_event"}
}

// Unified says that the machine has cgroup v2 alone.
func (h *Host) Unified() bool { return h.v2 != "" }

// Group is a cgroup in every hierarchy that has controllers.
type Group struct {
	host *Host
	path string
}

// Group names a cgroup by its absolute path, as in /mayfly-1a2b3c4d/pod-x/container-y.
// Path elements that end in .slice (systemd names like a-b.slice) map to a.slice/a-b.slice,
// and "x.slice:prefix:name" to the scope that systemd would make of it.
func (h *Host) Group(path string) (*Group, error) {
	path = expand(path)
	if !filepath.IsAbs(path) || path == "/" || slices.Contains(strings.Split(path, "/"), "..") {
		return nil, fmt.Errorf("cgroup path %q: not an absolute path below the root", path)
	}
	return &Group{host: h, path: filepath.Clean(path)}, nil
}

// expand maps systemd's names to paths.
func expand(path string) string {
	if parts := strings.Split(path, ":"); len(parts) == 3 {
		slice, prefix, name := parts[0], parts[1], parts[2]
		if slice == "" {
			slice = "system.slice"
		}
		if !strings.HasSuffix(name, ".slice") {
			name = strings.Trim(prefix+"-"+name, "-") + ".scope"
		}
		path = "/" + strings.Trim(slice, "/") + "/" + name
	}
	var out []string
	for _, element := range strings.Split(path, "/") {
		out = append(out, parents(element, out)...)
	}
	return strings.Join(out, "/")
}

// parents gives a-b.slice as a.slice and a-b.slice, unless its parent is there already.
func parents(element string, before []string) []string {
	name, ok := strings.CutSuffix(element, ".slice")
	if !ok || !strings.Contains(name, "-") || name == "-" {
		return []string{element}
	}
	var out []string
	for i, r := range name {
		if r == '-' && i > 0 {
			if parent := name[:i] + ".slice"; !slices.Contains(before, parent) {
				out = append(out, parent)
			}
		}
	}
	return append(out, element)
}

// Path is the path within the hierarchies.
func (g *Group) Path() string { return g.path }

// roots are the mount points of all hierarchies, each once, in a stable order.
func (h *Host) roots() []string {
	if h.v2 != "" {
		return []string{h.v2}
	}
	var out []string
	for _, point := range h.v1 {
		if !slices.Contains(out, point) {
			out = append(out, point)
		}
	}
	slices.Sort(out)
	return out
}

// Dirs are the directories to join, for compile.Options.CgroupDirs and monitor.Config.CgroupDirs.
func (g *Group) Dirs() []string {
	var out []string
	for _, root := range g.host.roots() {
		out = append(out, filepath.Join(root, g.path))
	}
	return out
}

// dir gives the directory of a controller; empty when the machine lacks it.
func (g *Group) dir(controller string) string {
	if g.host.v2 != "" {
		return filepath.Join(g.host.v2, g.path)
	}
	if point, ok := g.host.v1[controller]; ok {
		return filepath.Join(point, g.path)
	}
	return ""
}

// KillDir is for monitor.StartRequest.KillDir.
func (g *Group) KillDir() string {
	for _, controller := range []string{"pids", "freezer", "name=systemd"} {
		if dir := g.dir(controller); dir != "" {
			return dir
		}
	}
	return g.Dirs()[0]
}

// OOMFile is for monitor.StartRequest.OOMFile; empty when there is no memory controller.
func (g *Group) OOMFile() string {
	switch dir := g.dir("memory"); {
	case dir == "":
		return ""
	case g.host.v2 != "":
		return filepath.Join(dir, "memory.events")
	default:
		return filepath.Join(dir, "memory.oom_control")
	}
}

// Create makes the cgroup and its parents; it is no error when they exist.
func (g *Group) Create() error {
	if g.host.v2 != "" {
		return g.createUnified()
	}
	for _, dir := range g.Dirs() {
		err := unix.Mkdir(dir, 0o755) // mostly its parent is there
		if err == unix.ENOENT {
			err = os.MkdirAll(dir, 0o755)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	if root, ok := g.host.v1["cpuset"]; ok {
		return inheritCpuset(root, g.path)
	}
	return nil
}

// CreateWith makes the cgroup below one that exists, and moves a process there. Of v2, it leaves the controllers of the
// parent alone: what hands them out while it has processes itself becomes threaded, and the cgroups below useless.
func (g *Group) CreateWith(pid int) error {
	for _, dir := range g.Dirs() {
		if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("make cgroup %s: %w", dir, err)
		}
	}
	return g.Enter(pid)
}

// inheritCpuset fills what v1 leaves empty: nothing can run in a cgroup without processors
// or memory nodes. It looks no further up than to the first that has them.
func inheritCpuset(root, path string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if _, err := inherited(root, filepath.Join(root, path), file); err != nil {
			return err
		}
	}
	return nil
}

func inherited(root, dir, file string) (string, error) {
	have, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", fmt.Errorf("read cpuset: %w", err)
	}
	if value := strings.TrimSpace(string(have)); value != "" || dir == root {
		return value, nil
	}
	value, err := inherited(root, filepath.Dir(dir), file)
	if err != nil {
		return "", err
	}
	return value, write(dir, file, value)
}

// createUnified enables all controllers along the path.
func (g *Group) createUnified() error {
	dir := g.host.v2
	for _, name := range strings.Split(strings.Trim(g.path, "/"), "/") {
		have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("read controllers: %w", err)
		}
		for _, controller := range strings.Fields(string(have)) {
			// One that is in use elsewhere (cpu with realtime tasks, say) is missed only by a limit.
			_ = write(dir, "cgroup.subtree_control", "+"+controller)
		}
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return nil
}

// write writes to a file that the kernel made.
func write(dir, file, value string) error {
	fd, err := unix.Open(filepath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = errors.Join(ErrUnsupported, err)
		}
		return fmt.Errorf("set %s: %w", file, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("set %s to %q: %w", file, value, err)
	}
	return nil
}
