package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

const halfStartedMessage = "the runtime died while it started the container"

// Recover finds again what an earlier life of the runtime knew: it pins images, asks the monitors (through found) who
// still runs, and clears away what never became a container. The error tells of single files or containers; all
// others are usable nevertheless.
func (s *Service) Recover(ctx context.Context, found []sandbox.Found) error {
	records, err := s.store.Load()
	errs := []error{err}
	for id, record := range records {
		c := newContainer(id, *record)
		if err := s.reserve(c); err != nil {
			errs = append(errs, err) // both stay visible; the name belongs to one
		}
		s.publish(c)
		errs = append(errs, s.pin(ctx, c))
	}
	bySandbox := map[string]sandbox.Found{}
	for _, f := range found {
		bySandbox[f.ID] = f
		errs = append(errs, s.killUnknown(ctx, f))
	}
	for _, c := range s.All() {
		s.settle(ctx, c, bySandbox[c.SandboxID()])
	}
	return errors.Join(append(errs, s.sweep(ctx))...)
}

// pin keeps the images of a container on disk, as they were before.
func (s *Service) pin(ctx context.Context, c *Container) error {
	record := c.snapshot()
	if _, err := s.cfg.Images.Rootfs(ctx, record.ImageID, c.ID); err != nil {
		return fmt.Errorf("image of container %s: %w", c.ID, err)
	}
	var errs []error
	for i, m := range record.Config.Message.GetMounts() {
		if m.GetImage().GetImage() != "" {
			if _, err := s.cfg.Images.Rootfs(ctx, imageOf(m.GetImage()), holder(c.ID, i)); err != nil {
				errs = append(errs, fmt.Errorf("image volume of container %s: %w", c.ID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// settle brings one container's state up to date. box is empty when its sandbox is unknown.
func (s *Service) settle(ctx context.Context, c *Container, box sandbox.Found) {
	c.life.Lock()
	defer c.life.Unlock()
	record := c.snapshot()
	if record.FinishedAt != 0 || !record.Started {
		return
	}
	for _, status := range box.Containers {
		if status.ID != c.ID {
			continue
		}
		switch {
		case status.Phase == monitor.Exited:
			s.ended(c, status)
		case status.Phase == monitor.Running && box.Alive:
			c.mu.Lock()
			c.running, c.pid = true, s.firstProcess(c.ID, &c.record, status)
			if !status.StartedAt.IsZero() {
				c.record.StartedAt = status.StartedAt.UnixNano()
			}
			c.mu.Unlock()
		default:
			s.abandon(ctx, c)
		}
		return
	}
	if box.Alive { // the monitor never heard of it
		s.finish(c, monitor.Status{ExitCode: codeStartError, FinishedAt: time.Now()}, reasonStartError, halfStartedMessage)
		return
	}
	s.abandon(ctx, c)
}

// killUnknown ends processes of containers whose records cannot be read: nobody could stop them any more.
func (s *Service) killUnknown(ctx context.Context, f sandbox.Found) error {
	client := f.Monitor()
	if client == nil {
		return nil
	}
	var errs []error
	for _, status := range f.Containers {
		if status.Phase != monitor.Running || status.ID == sandbox.PauseID {
			continue
		}
		if _, err := s.Get(status.ID); err == nil {
			continue
		}
		if err := client.Signal(ctx, status.ID, int(unix.SIGKILL), true); err != nil {
			errs = append(errs, fmt.Errorf("kill container %s, which has no readable state: %w", status.ID, err))
		}
	}
	return errors.Join(errs...)
}

// sweep removes what Create left half-made or Remove half-removed, which it knows by its directory. That of records that
// were set aside stays: its content may be all that is left of somebody's work.
func (s *Service) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(s.dir(""))
	if err != nil {
		return fmt.Errorf("list container directories: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		id := entry.Name()
		if _, err := s.Get(id); err == nil || s.store.Quarantined(id) {
			continue
		}
		volumes, _ := filepath.Glob(filepath.Join(s.dir(id), "volumes", "*"))
		for _, path := range volumes {
			errs = append(errs, unmount(path))
		}
		errs = append(errs, s.sweepCgroup(ctx, id), removeTree(s.dir(id)))
	}
	return errors.Join(errs...)
}

// sweepCgroup removes the cgroup of a container without a record, which may be of any sandbox.
func (s *Service) sweepCgroup(ctx context.Context, id string) error {
	var errs []error
	for _, box := range s.cfg.Sandboxes.All() {
		group, err := s.cfg.Cgroups.Group(box.CgroupParent() + "/" + id)
		if err == nil {
			err = group.Remove(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
