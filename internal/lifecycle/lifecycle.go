// Package lifecycle starts the parts of a program in stages and stops them in the reverse order.
//
// A stage is a set of components that may start side by side; the next stage starts once every component of the
// one before is ready. When the context ends, or any component returns, the stages stop from last to first, so a
// component never outlives what it depends on.
//
//	stage 1: runtime, apiserver      starts → ready ─┐      ▲ stopped last
//	stage 2: controllers, node agent                 └→ ... │ stopped first
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Component is one part of the program.
type Component struct {
	// Name tells the component from the others in logs and errors.
	Name string
	// Run works until ctx ends; it returns nil on an orderly stop.
	Run func(ctx context.Context) error
	// Ready is closed once the component can serve. Nil means: ready as soon as Run was called.
	Ready <-chan struct{}
}

// Stage is a set of components that start side by side.
type Stage []Component

// Run starts the stages one after the other, calls ready once all components are, and returns after all have
// stopped. The error joins what components returned before they were asked to stop and what they returned while
// stopping.
func Run(ctx context.Context, stages []Stage, ready func()) error {
	failed := make(chan error, 1)
	var running []*runningStage
	err := func() error {
		for _, stage := range stages {
			started := start(ctx, stage, failed)
			running = append(running, started)
			if err := started.waitReady(ctx, failed); err != nil {
				return err
			}
		}
		ready()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		}
	}()
	errs := []error{err}
	for i := len(running) - 1; i >= 0; i-- {
		errs = append(errs, running[i].stop())
	}
	return errors.Join(errs...)
}

type runningStage struct {
	stage  Stage
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

// start runs each component with a context that ends only when the stage is stopped, not with ctx: a stage must
// outlive the ones after it.
func start(ctx context.Context, stage Stage, failed chan<- error) *runningStage {
	stageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &runningStage{stage: stage, cancel: cancel}
	for _, c := range stage {
		r.done.Go(func() {
			err := c.Run(stageCtx)
			if stageCtx.Err() == nil {
				if err == nil {
					err = errors.New("ended by itself")
				}
				select {
				case failed <- fmt.Errorf("%s: %w", c.Name, err):
				default:
				}
				return
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				r.mu.Lock()
				r.errs = append(r.errs, fmt.Errorf("stop %s: %w", c.Name, err))
				r.mu.Unlock()
			}
			slog.DebugContext(ctx, "component stopped", "component", c.Name)
		})
	}
	return r
}

func (r *runningStage) waitReady(ctx context.Context, failed <-chan error) error {
	for _, c := range r.stage {
		if c.Ready == nil {
			continue
		}
		select {
		case <-c.Ready:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (r *runningStage) stop() error {
	r.cancel()
	r.done.Wait()
	return errors.Join(r.errs...)
}
