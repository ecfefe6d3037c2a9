package container

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Streams says which streams of a process are wanted.
type Streams struct{ TTY, Stdin, Stdout, Stderr bool }

// Exec starts a process in a running container, as whom and with what rights the container's first process runs.
func (s *Service) Exec(ctx context.Context, c *Container, command []string, streams Streams) (*monitor.Process, error) {
	client, err := s.live(c)
	if err != nil {
		return nil, err
	}
	if len(command) == 0 || command[0] == "" {
		return nil, fmt.Errorf("no command to execute: %w", errdefs.ErrInvalidArgument)
	}
	built, err := s.loadSpec(c)
	if err != nil {
		return nil, err
	}
	process := *built.Process
	process.Args, process.Terminal = command, streams.TTY
	if c.snapshot().Handler != "" {
		return s.delegateExec(ctx, c, client, &process, streams)
	}
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err != nil {
		return nil, err
	}
	traced, launched, err := s.beforeLaunch(c, nil)
	if err != nil {
		return nil, err
	}
	defer launched()
	program, files, err := compile.Exec(&process, compile.ExecOptions{
		CgroupDirs: group.Dirs(), Seccomp: built.Linux.Seccomp, Filters: &s.filters, Traced: traced,
		UIDMappings: built.Linux.UIDMappings, GIDMappings: built.Linux.GIDMappings,
	})
	defer closeAll(files)
	if err != nil {
		return nil, fmt.Errorf("compile exec in container %q: %w", c.ID, err)
	}
	started, err := client.Exec(ctx, monitor.ExecRequest{
		ID: c.ID, Program: program, Files: files, TTY: streams.TTY,
		Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	if err != nil {
		return nil, gone(c, explain(err, command))
	}
	return started, nil
}

// Attach connects to the streams of a running container.
func (s *Service) Attach(ctx context.Context, c *Container, streams Streams) (*monitor.Attachment, error) {
	client, err := s.live(c)
	if err != nil {
		return nil, err
	}
	attached, err := client.Attach(ctx, monitor.AttachRequest{ID: c.ID, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr})
	if err != nil {
		return nil, gone(c, fmt.Errorf("attach to container %q: %w", c.ID, err))
	}
	return attached, nil
}

// Resize sets the size of the container's own terminal.
func (s *Service) Resize(ctx context.Context, c *Container, width, height uint16) error {
	client, err := s.live(c)
	if err != nil {
		return err
	}
	return client.Resize(ctx, c.ID, width, height)
}

// ReopenLog makes the monitor go on in a new file, after the old one was renamed.
func (s *Service) ReopenLog(ctx context.Context, c *Container) error {
	client, err := s.live(c)
	if err != nil {
		return err
	}
	if err := client.ReopenLog(ctx, c.ID); err != nil {
		return fmt.Errorf("reopen log of container %q: %w", c.ID, err)
	}
	return nil
}

// live returns the monitor of a container that runs.
func (s *Service) live(c *Container) (*monitor.Client, error) {
	client := s.monitor(c)
	if !c.Running() || client == nil {
		return nil, notRunning(c)
	}
	return client, nil
}

func notRunning(c *Container) error {
	return fmt.Errorf("container %q is not running, it is in %s state: %w", c.ID, c.State(), errdefs.ErrFailedPrecondition)
}

// gone puts the monitor's word for a container that has ended meanwhile into the CRI's.
func gone(c *Container, err error) error {
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, os.ErrNotExist) && !isCommand(err) {
		return fmt.Errorf("container %q has ended: %w", c.ID, errdefs.ErrFailedPrecondition)
	}
	return err
}

func isCommand(err error) bool {
	var failed *monitor.StartError
	return errors.As(err, &failed)
}
