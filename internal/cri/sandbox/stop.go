package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Stop gives back what a sandbox holds of the machine: its monitor, namespaces and network. Its containers have been
// stopped before. It may be called any number of times.
func (s *Service) Stop(ctx context.Context, sandbox *Sandbox) error {
	sandbox.life.Lock()
	defer sandbox.life.Unlock()
	if err := s.dismantle(ctx, sandbox); err != nil {
		return fmt.Errorf("stop sandbox %s: %w", sandbox.ID, err)
	}
	s.markStopped(sandbox)
	return nil
}

// Remove forgets a stopped sandbox.
func (s *Service) Remove(ctx context.Context, sandbox *Sandbox) error {
	sandbox.life.Lock()
	defer sandbox.life.Unlock()
	if err := errors.Join(s.dismantle(ctx, sandbox), s.discard(ctx, sandbox)); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", sandbox.ID, err)
	}
	return nil
}

// dismantle undoes build and furnish, but for files. Each step may have been done before, or never have been needed.
func (s *Service) dismantle(ctx context.Context, sandbox *Sandbox) error {
	errs := []error{s.endMonitor(ctx, sandbox)}
	sandbox.mu.Lock()
	config, networked := sandbox.record.Config.Message, sandbox.record.Networked
	sandbox.mu.Unlock()
	if networked {
		netns := s.namespaces.PathsOf(sandbox.ID, Wanted{Network: true}).Network
		if err := s.cfg.Network.Teardown(ctx, sandbox.ID, netns, config); err != nil {
			errs = append(errs, fmt.Errorf("tear down network: %w", err))
		} else {
			sandbox.mu.Lock()
			sandbox.record.Networked, sandbox.record.IPs = false, nil
			sandbox.mu.Unlock()
		}
	}
	errs = append(errs, s.namespaces.Remove(sandbox.ID), s.namespaces.RemoveShm(sandbox.ID))
	return errors.Join(errs...)
}

// endMonitor kills what is left and ends the monitor. A monitor that is dead already is no error.
func (s *Service) endMonitor(ctx context.Context, sandbox *Sandbox) error {
	sandbox.mu.Lock()
	client := sandbox.client
	sandbox.client = nil // so that its end is not taken for a death
	sandbox.mu.Unlock()
	if client != nil {
		defer client.Close()
		if err := endAll(ctx, client); err != nil {
			select {
			case <-client.Done():
			default:
				return fmt.Errorf("end monitor: %w", err)
			}
		}
	}
	if err := os.RemoveAll(s.monitorDir(sandbox.ID)); err != nil {
		return fmt.Errorf("remove monitor's files: %w", err)
	}
	return nil
}

// discard removes files and the record, the record last.
func (s *Service) discard(ctx context.Context, sandbox *Sandbox) error {
	if err := errors.Join(s.leaveCgroup(ctx, sandbox), os.RemoveAll(s.dir(sandbox.ID))); err != nil {
		return err
	}
	if err := s.store.Delete(sandbox.ID); err != nil {
		return err
	}
	sandbox.mu.Lock()
	sandbox.removed = true
	sandbox.mu.Unlock()
	s.forget(sandbox)
	return nil
}

const sigkill = int(unix.SIGKILL)
