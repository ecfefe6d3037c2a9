package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// step is how often a state of the kernel's is looked at that nothing announces.
const step = 2 * time.Millisecond

// Processes lists the PIDs in the cgroup and below, in any hierarchy.
func (g *Group) Processes() ([]int, error) {
	var pids []int
	for _, dir := range g.Dirs() {
		err := walk(dir, func(dir string) error {
			content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				return err
			}
			for _, f := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// Enter moves a process, with all its threads, into the cgroup.
func (g *Group) Enter(pid int) error {
	for _, dir := range g.Dirs() {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process %d into cgroup %s: %w", pid, g.path, err)
		}
	}
	return nil
}

// walk visits a cgroup and all below; one that does not exist (any more) is no error.
func walk(dir string, visit func(dir string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = visit(path)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		return err
	})
}

// await looks until done is true.
func await(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
		}
	}
}

// Kill kills all processes in the cgroup and below, and waits until they are gone.
func (g *Group) Kill(ctx context.Context) error {
	err := await(ctx, func() (bool, error) {
		if g.host.v2 != "" {
			_ = write(g.dir(""), "cgroup.kill", "1")
		}
		pids, err := g.Processes()
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return len(pids) == 0, err
	})
	if err != nil {
		return fmt.Errorf("kill cgroup %s: %w", g.path, err)
	}
	return nil
}

// Freeze stops all processes, and returns once they have stopped.
func (g *Group) Freeze(ctx context.Context) error { return g.freeze(ctx, true) }

// Thaw continues what Freeze stopped.
func (g *Group) Thaw(ctx context.Context) error { return g.freeze(ctx, false) }

func (g *Group) freeze(ctx context.Context, on bool) error {
	dir := g.dir("freezer")
	if dir == "" {
		return fmt.Errorf("freeze: %w", ErrUnsupported)
	}
	file, value, look, want := "freezer.state", "THAWED", "freezer.state", "THAWED"
	switch {
	case g.host.v2 != "" && on:
		file, value, look, want = "cgroup.freeze", "1", "cgroup.events", "frozen 1"
	case g.host.v2 != "":
		file, value, look, want = "cgroup.freeze", "0", "cgroup.events", "frozen 0"
	case on:
		value, want = "FROZEN", "FROZEN"
	}
	err := await(ctx, func() (bool, error) {
		// v1 wants to be told again when a process was forking meanwhile.
		if err := write(dir, file, value); err != nil {
			return false, err
		}
		content, err := os.ReadFile(filepath.Join(dir, look))
		return strings.Contains(string(content), want), err
	})
	if err != nil {
		return fmt.Errorf("freeze cgroup %s: %w", g.path, err)
	}
	return nil
}

// Remove removes the cgroup and those below; it waits for dying processes until ctx ends.
func (g *Group) Remove(ctx context.Context) error {
	for _, dir := range g.Dirs() {
		if err := unix.Rmdir(dir); err == nil || err == unix.ENOENT {
			continue
		}
		var dirs []string
		if err := walk(dir, func(d string) error { dirs = append(dirs, d); return nil }); err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		for _, d := range slices.Backward(dirs) {
			if err := remove(ctx, d); err != nil {
				return fmt.Errorf("remove cgroup: %w", err)
			}
		}
	}
	return nil
}

// remove tries for a while: a process that was reaped may still be on its way out.
func remove(ctx context.Context, dir string) error {
	return await(ctx, func() (bool, error) {
		switch err := unix.Rmdir(dir); {
		case err == nil || errors.Is(err, unix.ENOENT):
			return true, nil
		case errors.Is(err, unix.EBUSY) && ctx.Err() == nil:
			content, readErr := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if readErr == nil && len(content) > 0 && !dying(content) {
				return false, &fs.PathError{Op: "rmdir", Path: dir, Err: err}
			}
			return false, nil
		default:
			return false, &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	})
}

// dying says that all processes of a cgroup.procs are gone, or on their way out.
func dying(procs []byte) bool {
	const exiting = 0x4 // PF_EXITING of linux/sched.h
	for _, pid := range strings.Fields(string(procs)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after) // state, parent, group, session, terminal, its group, flags, …
		if len(fields) < 7 {
			continue
		}
		if flags, err := strconv.ParseUint(fields[6], 10, 64); err == nil && flags&exiting == 0 {
			return false
		}
	}
	return true
}
