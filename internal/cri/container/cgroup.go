package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// making is a cgroup that is being made while the rest of its container is: nine hierarchies take the kernel a while.
type making struct {
	done chan struct{}
	err  error
}

// begin starts the making.
func begin(group *cgroup.Group) *making {
	m := &making{done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.err = group.Create()
	}()
	return m
}

// cgroup returns the container's cgroup, which exists.
func (s *Service) cgroup(c *Container) (*cgroup.Group, error) {
	path := c.snapshot().Cgroup
	group, err := s.cfg.Cgroups.Group(path)
	if err == nil && c.group != nil {
		<-c.group.done
		err = c.group.err
	} else if err == nil {
		err = group.Create()
	}
	if err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", path, err)
	}
	return group, nil
}

func (s *Service) removeCgroup(ctx context.Context, c *Container) error {
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err != nil {
		return err
	}
	if c.group != nil {
		<-c.group.done
	}
	if err := group.Remove(ctx); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// moveCgroup gives a container that is being made another cgroup, where a plugin has chosen one.
func (s *Service) moveCgroup(ctx context.Context, c *Container, path string) error {
	if path == c.record.Cgroup {
		return nil
	}
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("cgroup %q of container %q: not a clean absolute path: %w", path, c.ID, errdefs.ErrInvalidArgument)
	}
	group, err := s.cfg.Cgroups.Group(path)
	if err != nil {
		return err
	}
	if err := s.removeCgroup(ctx, c); err != nil {
		return err
	}
	c.record.Cgroup, c.group = path, begin(group)
	return nil
}
