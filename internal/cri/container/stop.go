package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Stop ends a container: its stop signal first, after grace SIGKILL to all of its processes. One that does not run is
// left alone. It returns once the end is recorded. A start that is under way has its turn first, or what it starts would
// outlive this.
func (s *Service) Stop(ctx context.Context, c *Container, grace time.Duration) error {
	c.life.Lock()
	running, client := c.Running(), s.monitor(c)
	c.life.Unlock()
	if !running || client == nil {
		return nil
	}
	if grace > 0 {
		ended, err := s.askToEnd(ctx, c, client, grace)
		if err != nil || ended {
			return err
		}
	}
	if err := send(ctx, client, c, unix.SIGKILL, true); err != nil {
		return err
	}
	select {
	case <-c.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for killed container %q: %w", c.ID, ctx.Err())
	}
}

func (s *Service) askToEnd(ctx context.Context, c *Container, client *monitor.Client, grace time.Duration) (ended bool, _ error) {
	signal := unix.Signal(c.snapshot().StopSignal)
	lost := discards(c.PID(), signal)
	if err := send(ctx, client, c, signal, false); err != nil {
		return false, err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if lost {
		askCtx, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		if err := s.askAgain(askCtx, c, client, signal); err != nil {
			return false, err
		}
	}
	select {
	case <-c.exited:
		return true, nil
	case <-timer.C:
		slog.InfoContext(ctx, "container outlived its grace", "container", c.ID, "grace", grace)
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("wait for container %q to end: %w", c.ID, ctx.Err())
	}
}

// askAgain repeats a signal once there is a handler for it, if there is one soon: a program that is told to end in the
// moment of its start would otherwise use up its whole grace.
func (s *Service) askAgain(ctx context.Context, c *Container, client *monitor.Client, signal unix.Signal) error {
	for wait := firstWait; wait <= lastWait; wait *= 2 {
		select {
		case <-time.After(wait):
		case <-c.exited:
			return nil
		case <-ctx.Done():
			return nil // the caller sees it too
		}
		if !discards(c.PID(), signal) {
			return send(ctx, client, c, signal, false)
		}
	}
	return nil
}

const (
	firstWait = 10 * time.Millisecond
	lastWait  = 640 * time.Millisecond
)

// send takes a container that is gone for one that has got the signal: its end is on its way.
func send(ctx context.Context, client *monitor.Client, c *Container, signal unix.Signal, all bool) error {
	err := client.Signal(ctx, c.ID, int(signal), all)
	if err == nil || errors.Is(err, os.ErrProcessDone) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	select {
	case <-client.Done(): // the monitor died: the container ends as lost
		return nil
	default:
		return fmt.Errorf("send %v to container %q: %w", signal, c.ID, err)
	}
}

// monitor returns the connection to the container's monitor, nil if it is gone.
func (s *Service) monitor(c *Container) *monitor.Client {
	box, err := s.cfg.Sandboxes.Get(c.SandboxID())
	if err != nil {
		return nil
	}
	return box.Monitor()
}
