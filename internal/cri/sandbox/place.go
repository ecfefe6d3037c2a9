package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/mayfly-run/mayfly/internal/cri/systemd"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// place says below which cgroup a sandbox's containers get theirs, and whether the client left that to us. The driver
// cgroupfs takes the client's cgroup itself. With systemd it is a scope in the client's slice, which holds the monitor as
// well: systemd leaves a scope to whoever made it, as long as a process lives there, and slices to nobody.
func (s *Service) place(id, parent string) (cgroupParent string, own bool, _ error) {
	own = parent == ""
	switch {
	case s.cfg.Systemd == nil && own:
		return s.cfg.CgroupRoot + "/" + id, own, nil
	case s.cfg.Systemd == nil:
		return parent, own, nil
	case own:
		parent = s.cfg.CgroupRoot
	}
	slice := path.Base(parent)
	if !strings.HasSuffix(slice, ".slice") {
		return "", own, fmt.Errorf("cgroup parent %q: systemd makes the cgroups, so it must be the name of a slice, as in kubepods-pod1.slice: %w", parent, errdefs.ErrInvalidArgument)
	}
	group, err := s.cfg.Cgroups.Group("/" + slice + "/mayfly-" + id + ".scope")
	if err != nil {
		return "", own, fmt.Errorf("cgroup parent %q: %w: %w", parent, err, errdefs.ErrInvalidArgument)
	}
	return group.Path(), own, nil
}

// monitorGroup is where a sandbox's monitor and pause process are.
func (s *Service) monitorGroup(sandbox *Sandbox) (*cgroup.Group, error) {
	if s.cfg.Systemd == nil {
		return s.monitors, nil
	}
	return s.cfg.Cgroups.Group(sandbox.CgroupParent() + "/monitor")
}

// monitorDirs are the cgroups that a monitor enters by itself.
func (s *Service) monitorDirs() []string {
	if s.cfg.Systemd != nil {
		return nil
	}
	return s.monitors.Dirs()
}

// makeCgroup makes the sandbox's cgroup, unless systemd is to make it around the monitor.
func (s *Service) makeCgroup(sandbox *Sandbox) error {
	if s.cfg.Systemd != nil {
		return nil
	}
	parent := sandbox.CgroupParent()
	group, err := s.cfg.Cgroups.Group(parent)
	if err == nil {
		err = group.Create()
	}
	if err != nil {
		return fmt.Errorf("make cgroup %s: %w", parent, err)
	}
	return nil
}

// enclose has systemd make the sandbox's scope around the monitor, which then makes room for containers: where cgroup v2
// hands out controllers, there are no processes.
func (s *Service) enclose(ctx context.Context, sandbox *Sandbox, pid int) error {
	if s.cfg.Systemd == nil {
		return nil
	}
	parent, meta := sandbox.CgroupParent(), sandbox.Config().GetMetadata()
	err := s.cfg.Systemd.StartScope(ctx, systemd.Scope{
		Name: path.Base(parent), Slice: path.Base(path.Dir(parent)), PID: pid,
		Description: fmt.Sprintf("Mayfly's Pod %s/%s", meta.GetNamespace(), meta.GetName()),
	})
	if err != nil {
		return err
	}
	group, err := s.monitorGroup(sandbox)
	if err == nil {
		err = group.CreateWith(pid)
	}
	if err != nil {
		return fmt.Errorf("move monitor within its scope: %w", err)
	}
	return nil
}

// leaveCgroup removes the sandbox's cgroup, and with systemd the Pod's slice where it is the instance's own.
func (s *Service) leaveCgroup(ctx context.Context, sandbox *Sandbox) error {
	parent := sandbox.CgroupParent()
	group, err := s.cfg.Cgroups.Group(parent)
	if err == nil {
		err = removeEmpty(ctx, group)
	}
	slice := path.Base(path.Dir(parent))
	if err != nil || s.cfg.Systemd == nil || !strings.HasPrefix(slice, strings.TrimSuffix(path.Base(s.cfg.CgroupRoot), ".slice")+"-") {
		return err
	}
	group, err = s.cfg.Cgroups.Group(path.Dir(parent))
	if err != nil {
		return err
	}
	if pids, err := group.Processes(); err != nil && !errors.Is(err, os.ErrNotExist) || len(pids) > 0 {
		return err
	}
	return s.cfg.Systemd.Stop(ctx, slice)
}
