package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Leftovers lists what the instance has on the machine: processes, mounts, cgroups, interfaces and nftables tables.
// Nothing in it is a matter of names alone: a process is the instance's when it sees the instance's mounts.
func (i *Instance) Leftovers() []string {
	var left []string
	for _, pid := range i.processes() {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		left = append(left, fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(name))))
	}
	for _, m := range i.mounts() {
		left = append(left, "mount "+m)
	}
	for _, c := range i.cgroups() {
		left = append(left, "cgroup "+c)
	}
	for _, l := range i.links() {
		left = append(left, "interface "+l.Attrs().Name)
	}
	for _, t := range i.tables() {
		left = append(left, "nftables table "+t.Name)
	}
	return left
}

// Await waits until nothing is left, since the kernel takes some things apart in its own time, and returns what is.
func (i *Instance) Await(within time.Duration) []string {
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		if left := i.Leftovers(); len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// processes are those, besides the daemon, that have the instance's directories in their mounts or command line, or
// run in its cgroups.
func (i *Instance) processes() []int {
	entries, _ := os.ReadDir("/proc")
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || pid == i.PID() {
			continue
		}
		if i.owns(pid) {
			found = append(found, pid)
		}
	}
	return found
}

func (i *Instance) owns(pid int) bool {
	proc := fmt.Sprintf("/proc/%d/", pid)
	cgroup, _ := os.ReadFile(proc + "cgroup")
	if strings.Contains(string(cgroup), i.CgroupRoot()) {
		return true
	}
	command, _ := os.ReadFile(proc + "cmdline")
	if strings.Contains(string(command), i.RunDir) && !strings.Contains(string(command), "mayfly") {
		return true
	}
	// Whoever shares our mount namespace sees our mounts without owning them.
	theirs, err := os.Readlink(proc + "ns/mnt")
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	if err != nil || theirs == ours {
		return false
	}
	mounts, _ := os.ReadFile(proc + "mountinfo")
	return strings.Contains(string(mounts), i.Dir+"/")
}

// mounts are the mount points below the instance's directories, the innermost first.
func (i *Instance) mounts() []string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var found []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], i.Dir+"/") {
			found = append(found, fields[4])
		}
	}
	slices.Reverse(found)
	return found
}

// cgroups are the directories of the instance in every hierarchy, the innermost first.
func (i *Instance) cgroups() []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		roots, _ := filepath.Glob(pattern + i.CgroupRoot())
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					found = append(found, path)
				}
				return nil
			})
		}
	}
	slices.Reverse(found)
	return found
}

// links are the instance's bridge and what hangs on it.
func (i *Instance) links() []netlink.Link {
	bridge, err := netlink.LinkByName("mf-" + i.ID()[:6])
	if err != nil {
		return nil
	}
	found := []netlink.Link{bridge}
	all, _ := netlink.LinkList()
	for _, l := range all {
		if l.Attrs().MasterIndex == bridge.Attrs().Index {
			found = append(found, l)
		}
	}
	return found
}

func (i *Instance) tables() []*nftables.Table {
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	all, _ := conn.ListTables()
	return slices.DeleteFunc(all, func(t *nftables.Table) bool { return !strings.Contains(t.Name, i.ID()) })
}

// sweep removes by hand what Mayfly left, so that one failed test does not spoil the next.
func (i *Instance) sweep() {
	for range 20 {
		for _, pid := range i.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, m := range i.mounts() {
			_ = unix.Unmount(m, unix.MNT_DETACH)
		}
		for _, c := range i.cgroups() {
			_ = os.Remove(c)
		}
		for _, l := range i.links() {
			_ = netlink.LinkDel(l)
		}
		i.deleteTables()
		if len(i.Leftovers()) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (i *Instance) deleteTables() {
	conn, err := nftables.New()
	if err != nil {
		return
	}
	for _, t := range i.tables() {
		conn.DelTable(t)
	}
	if err := conn.Flush(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "delete nftables tables:", err)
	}
}
