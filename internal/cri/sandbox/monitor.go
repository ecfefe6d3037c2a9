package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// endAll kills every container of a monitor, waits for their ends, and shuts it down.
func endAll(ctx context.Context, client *monitor.Client) error {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := client.Events(watchCtx)
	list, err := client.List(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	running := map[string]bool{}
	for _, status := range list {
		if status.Phase != monitor.Running {
			continue
		}
		switch err := client.Signal(ctx, status.ID, sigkill, true); {
		case err == nil:
			running[status.ID] = true
		case errors.Is(err, os.ErrProcessDone), errors.Is(err, os.ErrNotExist):
		default:
			return fmt.Errorf("kill %s: %w", status.ID, err)
		}
	}
	for len(running) > 0 {
		event, open := <-events
		if !open {
			return fmt.Errorf("wait for containers to end: %w", errors.Join(ctx.Err(), errors.New("connection lost")))
		}
		if event.Status.Phase != monitor.Running {
			delete(running, event.Status.ID)
		}
	}
	if err := client.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// EndStrays ends monitors, with all that runs under them, that belong to no sandbox that is known.
func (s *Service) EndStrays(ctx context.Context) error {
	dirs, err := filepath.Glob(s.monitorDir("*"))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, sandbox := range s.All() {
		known[s.monitorDir(sandbox.ID)] = true
	}
	var errs []error
	for _, dir := range dirs {
		if known[dir] {
			continue
		}
		dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
		client, err := monitor.Dial(dialCtx, dir)
		cancel()
		if err != nil {
			continue // dead, or about to be killed with its cgroup
		}
		if err := endAll(ctx, client); err != nil {
			errs = append(errs, fmt.Errorf("end monitor of %s: %w", dir, err))
		}
		client.Close()
	}
	return errors.Join(errs...)
}

// removeEmpty removes a Pod's cgroup unless somebody else still uses it: the client may share it between Pods.
func removeEmpty(ctx context.Context, group *cgroup.Group) error {
	pids, err := group.Processes()
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(pids) > 0) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list processes of %s: %w", group.Path(), err)
	}
	removeCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := group.Remove(removeCtx); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove cgroup %s: %w", group.Path(), err)
	}
	return nil
}
