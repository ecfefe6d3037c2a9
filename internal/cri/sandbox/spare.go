package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

const (
	// spareAfter lets whatever took the last spare monitor, or the start of the runtime, come to its end before the next
	// one's start takes a processor away from it.
	spareAfter = 30 * time.Millisecond
	// spareDirs begins the name of a spare monitor's directory, which no sandbox's has.
	spareDirs = "spare-"
)

// spares keeps one monitor started ahead, since the start of a process takes longer than all else that a sandbox needs.
type spares struct {
	dir   string // of all monitors
	start func(ctx context.Context, dir string) (*monitor.Client, error)

	mu     sync.Mutex
	one    *spare
	timer  *time.Timer // of the next start; nil while there is a spare
	closed bool
	busy   sync.WaitGroup
}

type spare struct {
	dir    string
	client *monitor.Client
}

// Prepare starts what the first sandbox then need not wait for. It comes after [Service.Recover].
func (s *Service) Prepare() { s.spares.prepare() }

// Spare tells whether the next sandbox finds a monitor that was started ahead.
func (s *Service) Spare() bool {
	s.spares.mu.Lock()
	defer s.spares.mu.Unlock()
	return s.spares.one != nil
}

// sweep removes those of an earlier runtime, which end when they see that.
func (s *spares) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.dir, spareDirs+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range left {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// prepare has a monitor started a little later.
func (s *spares) prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.one != nil || s.timer != nil {
		return
	}
	s.busy.Add(1)
	s.timer = time.AfterFunc(spareAfter, func() {
		defer s.busy.Done()
		s.fill()
	})
}

func (s *spares) fill() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	dir := filepath.Join(s.dir, spareDirs+rand.Text()[:8])
	client, err := s.start(ctx, dir)
	s.mu.Lock()
	s.timer = nil
	keep := err == nil && !s.closed
	if keep {
		s.one = &spare{dir, client}
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		slog.DebugContext(ctx, "no spare monitor", "err", err) // the next sandbox starts its own, and tells
	case !keep:
		(&spare{dir, client}).end()
	}
}

// take gives the spare monitor, with its files in dir from now on, or nil where there is none that answers.
func (s *spares) take(ctx context.Context, dir string) *monitor.Client {
	s.mu.Lock()
	one := s.one
	s.one = nil
	s.mu.Unlock()
	if one == nil {
		return nil
	}
	if _, err := one.client.List(ctx); err == nil && os.Rename(one.dir, dir) == nil {
		return one.client
	}
	one.end()
	return nil
}

// close ends the spare monitor.
func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil && s.timer.Stop() {
		s.busy.Done()
	}
	one := s.one
	s.one = nil
	s.mu.Unlock()
	s.busy.Wait()
	if one != nil {
		one.end()
	}
}

func (s *spare) end() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	err := s.client.Shutdown(ctx)
	s.client.Close()
	if err := errors.Join(err, os.RemoveAll(s.dir)); err != nil {
		slog.DebugContext(ctx, "spare monitor not ended", "err", err) // it ends by itself, since its directory is gone
	}
}

// startMonitor starts a monitor with its files in dir, which it makes.
func (s *Service) startMonitor(ctx context.Context, dir string) (*monitor.Client, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make monitor's directory: %w", err)
	}
	client, err := monitor.Spawn(ctx, monitor.Config{Executable: s.cfg.Executable, Dir: dir, CgroupDirs: s.monitorDirs()})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start monitor: %w", err), os.RemoveAll(dir))
	}
	return client, nil
}
