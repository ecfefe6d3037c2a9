package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Remove forgets a container and all it wrote but its log; one that runs is killed first. A removal that was cut
// short is finished by the next one.
func (s *Service) Remove(ctx context.Context, c *Container) error {
	if err := s.Stop(ctx, c, 0); err != nil {
		return fmt.Errorf("remove container %q: %w", c.ID, err)
	}
	c.life.Lock()
	defer c.life.Unlock()
	if c.snapshotRemoved() {
		return nil
	}
	if client := s.monitor(c); client != nil && c.snapshot().Started {
		if err := client.Remove(ctx, c.ID); err != nil && !errors.Is(err, os.ErrNotExist) {
			select {
			case <-client.Done():
			default:
				return fmt.Errorf("remove container %q from its monitor: %w", c.ID, err)
			}
		}
	}
	// Its record goes before its files: what has a record can be started, and files without one are swept after a crash.
	err := errors.Join(s.releaseDelegated(ctx, c), s.removeCgroup(ctx, c))
	if err == nil {
		err = s.store.Delete(c.ID)
	}
	if err == nil {
		err = s.clear(c)
	}
	if err != nil {
		return fmt.Errorf("remove container %q: %w", c.ID, err)
	}
	c.mu.Lock()
	c.removed = true
	c.mu.Unlock()
	s.unreserve(c)
	s.cfg.Notify(runtimev1.ContainerEventType_CONTAINER_DELETED_EVENT, c)
	return nil
}

// Retire stops a container and lets go of what is mounted for it; its record stays, to tell how it ended. One that
// was never started has nothing to tell and is removed.
func (s *Service) Retire(ctx context.Context, c *Container) error {
	if !c.snapshot().Started {
		return s.Remove(ctx, c)
	}
	if err := s.Stop(ctx, c, 0); err != nil {
		return fmt.Errorf("retire container %q: %w", c.ID, err)
	}
	c.life.Lock()
	defer c.life.Unlock()
	return s.unmountVolumes(c)
}

func (c *Container) snapshotRemoved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed
}

// clear removes what prepare made.
func (s *Service) clear(c *Container) error {
	err := s.unmountVolumes(c)
	if err == nil {
		err = removeTree(s.dir(c.ID))
	}
	s.cfg.Images.Release(c.ID)
	return err
}

// removeTree removes the directory of a container of which nothing is mounted any more.
func removeTree(dir string) error {
	work := filepath.Join(dir, "work", "work") // overlayfs leaves it without permissions
	if err := os.Chmod(work, 0o700); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open overlay's work directory: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove container directory: %w", err)
	}
	return nil
}
