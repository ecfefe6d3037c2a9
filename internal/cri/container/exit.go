package container

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// cleanupTimeout bounds what is done behind a container's end.
const cleanupTimeout = 30 * time.Second

const lostMessage = "the monitor of the pod died; how the container ended is not known"

// Changed implements sandbox.Observer.
func (s *Service) Changed(_ context.Context, _ *sandbox.Sandbox, status monitor.Status) {
	c, err := s.Get(status.ID)
	if err != nil || c.ID != status.ID || status.Phase == monitor.Running {
		return
	}
	c.life.Lock() // a start under way comes to its end first
	defer c.life.Unlock()
	s.ended(c, status)
}

// Lost implements sandbox.Observer: no process of a container may go on without its monitor.
func (s *Service) Lost(ctx context.Context, box *sandbox.Sandbox, last []monitor.Status) {
	for _, status := range last {
		if status.Phase == monitor.Exited {
			s.Changed(ctx, box, status)
		}
	}
	for _, c := range s.Of(box.ID) {
		c.life.Lock()
		if c.snapshot().Started {
			s.abandon(ctx, c)
		}
		c.life.Unlock()
	}
}

// abandon kills what is left of a container whose monitor is gone.
func (s *Service) abandon(ctx context.Context, c *Container) {
	killCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err == nil {
		err = group.Kill(killCtx)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		slog.ErrorContext(ctx, "processes of lost container not killed", "container", c.ID, "err", err)
	}
	s.finish(c, monitor.Status{ExitCode: codeUnknown, FinishedAt: time.Now()}, reasonLost, lostMessage)
}

// ended records an end that the monitor saw.
func (s *Service) ended(c *Container, status monitor.Status) {
	switch {
	case status.Phase == monitor.Lost:
		s.finish(c, monitor.Status{ExitCode: codeUnknown, FinishedAt: time.Now()}, reasonLost, lostMessage)
	case status.OOMKilled:
		s.finish(c, status, reasonOOM, "")
	case status.ExitCode == 0:
		s.finish(c, status, reasonCompleted, "")
	default:
		s.finish(c, status, reasonError, "")
	}
}

// finish records the end, once. life is held.
func (s *Service) finish(c *Container, status monitor.Status, reason, message string) {
	c.mu.Lock()
	if c.record.FinishedAt != 0 || c.removed {
		c.mu.Unlock()
		return
	}
	c.running, c.pid = false, 0
	if !status.StartedAt.IsZero() {
		c.record.StartedAt = status.StartedAt.UnixNano()
	}
	// An end is never before its start, whatever the clock did.
	c.record.FinishedAt = max(status.FinishedAt.UnixNano(), c.record.StartedAt, 1)
	c.record.ExitCode, c.record.Reason, c.record.Message = int32(status.ExitCode), reason, message
	err := s.store.Save(c.ID, &c.record)
	c.mu.Unlock()
	if err != nil {
		slog.Error("end of container not kept", "container", c.ID, "err", err)
	}
	close(c.exited)
	s.cfg.Notify(runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT, c)
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := errors.Join(s.releaseDelegated(ctx, c), s.removeCgroup(ctx, c)); err != nil {
			slog.Warn("what an ended container held is left for its removal", "container", c.ID, "err", err)
		}
	})
}
