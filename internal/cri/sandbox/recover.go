package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

const (
	// dialTimeout is how long a living monitor may take to answer. A dead one is known at once: nobody listens. One that
	// is taken for dead loses its containers, so a machine that is very busy gets the time that it needs.
	dialTimeout = time.Minute
	// atOnce is how many monitors are asked at a time, so that none waits for the processor behind hundreds.
	atOnce = 16
)

// Found is what Recover learnt of one sandbox.
type Found struct {
	*Sandbox
	// Alive says that its monitor answers.
	Alive bool
	// Containers is what the monitor, or its state file, tells of containers.
	Containers []monitor.Status

	events <-chan monitor.Event
}

// Recover finds again every sandbox that an earlier life of the runtime made: it connects to the monitors, takes
// down what never became ready, and finishes what was being stopped. The error tells of single sandboxes or files;
// all others are usable nevertheless. Events flow only after [Service.Watch].
func (s *Service) Recover(ctx context.Context) ([]Found, error) {
	records, err := s.store.Load()
	errs := []error{err, s.adoptMonitors()}
	var mu sync.Mutex
	var all []Found
	var wait errgroup.Group
	wait.SetLimit(atOnce)
	for id, record := range records {
		sandbox := &Sandbox{ID: id, record: *record}
		if err := s.reserve(sandbox, record.Config.Message); err != nil {
			errs = append(errs, err)
			continue
		}
		s.publish(sandbox)
		wait.Go(func() error {
			found, err := s.find(ctx, sandbox)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			if found != nil {
				all = append(all, *found)
			}
			return nil
		})
	}
	_ = wait.Wait()
	errs = append(errs, s.sweep(ctx, records), s.sweepFiles(), s.spares.sweep())
	return all, errors.Join(errs...)
}

// adoptMonitors gives directories to monitors of an older Mayfly, which kept all their files in one.
func (s *Service) adoptMonitors() error {
	sockets, err := filepath.Glob(s.monitorDir("*") + ".sock")
	if err != nil {
		return err
	}
	var errs []error
	for _, socket := range sockets {
		dir := strings.TrimSuffix(socket, ".sock")
		errs = append(errs, monitor.Adopt(dir, socket, dir+".state"))
	}
	return errors.Join(errs...)
}

// Watch begins to pump the events of a sandbox that Recover found alive.
func (s *Service) Watch(found Found) {
	if client := found.Monitor(); client != nil {
		s.watch(found.Sandbox, client, found.events)
	}
}

func (s *Service) find(ctx context.Context, sandbox *Sandbox) (*Found, error) {
	if sandbox.record.Phase == state.Starting {
		if err := s.dropHalfMade(ctx, sandbox); err != nil {
			return nil, fmt.Errorf("take down half-made sandbox %s: %w", sandbox.ID, err)
		}
		return nil, nil
	}
	found := &Found{Sandbox: sandbox}
	client, events, list, err := s.dial(ctx, sandbox.ID)
	if err == nil {
		sandbox.client, found.Alive, found.Containers, found.events = client, true, list, events
		s.checkPause(sandbox, list)
		return found, nil
	}
	s.markStopped(sandbox)
	found.Containers, err = monitor.ReadState(s.monitorDir(sandbox.ID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return found, fmt.Errorf("state of the dead monitor of sandbox %s: %w", sandbox.ID, err)
	}
	return found, nil
}

// checkPause stops a sandbox whose shared PID namespace ended while nobody looked.
func (s *Service) checkPause(sandbox *Sandbox, list []monitor.Status) {
	if !sandbox.record.SharedPID {
		return
	}
	for _, status := range list {
		if status.ID == PauseID && status.Phase == monitor.Running {
			return
		}
	}
	s.markStopped(sandbox)
}

// dial subscribes before it asks, so that no end falls between the two.
func (s *Service) dial(ctx context.Context, id string) (*monitor.Client, <-chan monitor.Event, []monitor.Status, error) {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, err := monitor.Dial(dialCtx, s.monitorDir(id))
	if err != nil {
		return nil, nil, nil, err
	}
	events := client.Events(s.ctx)
	list, err := client.List(dialCtx)
	if err != nil {
		client.Close()
		return nil, nil, nil, err
	}
	return client, events, list, nil
}

func (s *Service) dropHalfMade(ctx context.Context, sandbox *Sandbox) error {
	if client, _, _, err := s.dial(ctx, sandbox.ID); err == nil {
		sandbox.client = client
	}
	return errors.Join(s.dismantle(ctx, sandbox), s.discard(ctx, sandbox))
}

// sweep takes down what runs although no record of it can be read: its Pod will get a new sandbox, and two must not
// run side by side.
func (s *Service) sweep(ctx context.Context, records map[string]*state.Sandbox) error {
	known, err := s.namespaces.Known()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range known {
		if _, ok := records[id]; ok {
			continue
		}
		orphan := &Sandbox{ID: id, record: state.Sandbox{Networked: true}}
		if client, _, _, err := s.dial(ctx, id); err == nil {
			orphan.client = client
		}
		if err := s.dismantle(ctx, orphan); err != nil {
			errs = append(errs, fmt.Errorf("take down sandbox %s, which has no readable state: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// sweepFiles removes directories of sandboxes that nothing else is left of: the power failed before the record reached
// the disk. Where a record was set aside they stay, as it does.
func (s *Service) sweepFiles() error {
	entries, err := os.ReadDir(s.dir(""))
	if err != nil {
		return fmt.Errorf("list sandbox directories: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if _, err := s.Get(entry.Name()); err != nil && !s.store.Quarantined(entry.Name()) {
			errs = append(errs, os.RemoveAll(s.dir(entry.Name())))
		}
	}
	return errors.Join(errs...)
}
