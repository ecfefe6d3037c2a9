package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/network"
	"github.com/mayfly-run/mayfly/internal/cri/oci"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

type deathKind string

const (
	serverDies  deathKind = "server"
	monitorDies deathKind = "monitor"
	bothDie     deathKind = "both"
	powerFails  deathKind = "power"
	// diskForgets is a failure of the power before all that was written had reached the disk.
	diskForgets deathKind = "disk"
)

// death is what a round ends with.
type death struct {
	kind deathKind
	// doomed begins the ID of the sandbox whose monitor or pause process was killed, if there was one.
	doomed string
	// before is what the disk is sure to have.
	before map[string][]byte
}

func (d *death) power() bool { return d.kind == powerFails || d.kind == diskForgets }

// kills tells whether a sandbox did not survive.
func (d *death) kills(pod string) bool {
	return d.power() || d.doomed != "" && strings.HasPrefix(pod, d.doomed)
}

func (c *crash) choose() *death {
	kinds := []deathKind{serverDies, serverDies, serverDies, serverDies, monitorDies, monitorDies, bothDie, powerFails, diskForgets}
	d := &death{kind: kinds[c.random.IntN(len(kinds))]}
	if d.kind == diskForgets {
		d.before = c.written()
	}
	return d
}

func (c *crash) kill(d *death) {
	c.Helper()
	switch d.kind {
	case serverDies:
		c.runtime.kill()
	case monitorDies:
		d.doomed = c.killMonitor()
	case bothDie:
		if c.random.IntN(2) == 0 { // what the runtime does about it is cut off, too
			d.doomed = c.killMonitor()
			c.runtime.kill()
		} else {
			c.runtime.kill()
			d.doomed = c.killMonitor()
		}
	default:
		c.runtime.kill()
		c.switchOff()
		if d.kind == diskForgets {
			c.loseWrites(d.before)
		}
	}
}

// killMonitor kills one of the instance's monitors or pause processes, and tells which sandbox's.
func (c *crash) killMonitor() string {
	c.Helper()
	pids, err := c.cgroup("/monitor").Processes()
	if err != nil {
		c.Fatal(err)
	}
	for _, i := range c.luck.Perm(len(pids)) {
		fd, err := unix.PidfdOpen(pids[i], 0)
		if err != nil {
			continue
		}
		defer unix.Close(fd)
		box := c.watchedBy(pids[i])
		if box != "" && !isSpare(box) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
			return box
		}
	}
	return ""
}

// watchedBy returns the beginning of the ID of the sandbox whose monitor or pause process it is, if it is one.
func (c *crash) watchedBy(pid int) string {
	arguments := commandLine(pid)
	if len(arguments) == 1 && filepath.Base(arguments[0]) == "pause" {
		return c.monitorOf(parent(pid))
	}
	if c.monitorOf(parent(pid)) != "" { // not a monitor, but about to be what a monitor starts
		return ""
	}
	return c.monitorOf(pid)
}

// isSpare tells the monitor that waits for a sandbox.
func isSpare(box string) bool { return strings.HasPrefix(box, "spare-") }

// monitorOf knows a monitor by its command, and whose it is by where it works.
func (c *crash) monitorOf(pid int) string {
	if !slices.Contains(commandLine(pid), "-socket") {
		return ""
	}
	dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if filepath.Dir(dir) != filepath.Join(c.cfg.RunDir, "monitor") {
		return ""
	}
	return filepath.Base(dir)
}

func parent(pid int) (parent int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
	_, _ = fmt.Sscan(rest, &parent)
	return parent
}

func commandLine(pid int) []string {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

func (c *crash) cgroup(below string) *cgroup.Group {
	c.Helper()
	host, err := cgroup.Open()
	if err != nil {
		c.Fatal(err)
	}
	group, err := host.Group(c.cfg.complete().CgroupRoot + below)
	if err != nil {
		c.Fatal(err)
	}
	return group
}

// switchOff takes from the machine all that does not outlive it: processes, mounts, namespaces, links, cgroups and
// the run directory. The runtime is dead already.
func (c *crash) switchOff() {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	for err := errors.New("not yet"); err != nil; { // a monitor may be on its way into its cgroup
		for _, pid := range c.processes() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		err = errors.Join(c.cgroup("").Kill(ctx), c.cgroup("").Remove(ctx))
		if ctx.Err() != nil {
			c.Fatal(err)
		}
	}
	var errs []error
	for _, path := range slices.Backward(c.mounts()) {
		errs = append(errs, unix.Unmount(path, unix.MNT_DETACH))
	}
	kernel := c.cfg.network()
	kernel.StateDir = filepath.Join(c.TempDir(), "none")
	errs = append(errs, network.Purge(ctx, kernel), oci.Purge(c.cfg.complete().CgroupRoot), os.RemoveAll(c.cfg.RunDir))
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
}

// processes are all that have a path of the instance's in their arguments, but for the runtime itself.
func (c *crash) processes() (pids []int) {
	c.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		c.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != c.runtime.cmd.Process.Pid && strings.Contains(strings.Join(commandLine(pid), " "), filepath.Dir(c.cfg.Socket)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mounts are those below the instance's directories, in the order in which they were made.
func (c *crash) mounts() []string {
	c.Helper()
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		c.Fatal(err)
	}
	var paths []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[4], c.cfg.RootDir) || strings.HasPrefix(fields[4], c.cfg.RunDir) {
			paths = append(paths, fields[4])
		}
	}
	return paths
}

// written is what the runtime has written without waiting for the disk, by path.
func (c *crash) written() map[string][]byte {
	c.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"state/*/*.json", "network/*.json", "containers/*/config.json", "sandboxes/*/*"} {
		paths, err := filepath.Glob(filepath.Join(c.cfg.RootDir, pattern))
		if err != nil {
			c.Fatal(err)
		}
		for _, path := range paths {
			if content, err := os.ReadFile(path); err == nil { // else it is gone meanwhile
				files[path] = content
			}
		}
	}
	return files
}

// loseWrites leaves each file as it is, as it was before, or, where it was not there before, empty: a file system may
// remember a new name and not yet what is in it.
func (c *crash) loseWrites(before map[string][]byte) {
	c.Helper()
	after := c.written()
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		old, was := before[path]
		now, is := after[path]
		choice := c.luck.IntN(3)
		if choice == 0 || was == is && bytes.Equal(old, now) {
			continue
		}
		err := os.ErrNotExist
		switch {
		case was || choice == 1 && is:
			err = os.WriteFile(path, old, 0o600)
		case is:
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // its directory is gone
			c.Fatal(err)
		}
	}
}
