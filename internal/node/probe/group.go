package probe

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind of a probe, as events name it.
type Kind string

// The kinds of probes.
const (
	Startup   Kind = "Startup"
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
)

// Target is one run of a container.
type Target struct {
	Pod         *corev1.Pod
	Container   *corev1.Container
	ContainerID string
	// IP is where probes without a host connect to.
	IP string
	// StartedAt is when the container began to run.
	StartedAt time.Time
}

// ErrRedirected comes with success: the answer sent the probe to another host, where it did not follow.
var ErrRedirected = errors.New("probe was sent to another host")

// Check runs one probe once. The error, but for ErrRedirected, says that the probe itself could not be run, which counts
// as nothing.
type Check func(ctx context.Context, t Target, p *corev1.Probe) (ok bool, output string, err error)

// Group runs the probes of one Target.
type Group struct {
	target  Target
	check   Check
	changed func()
	// event reports a probe that failed, or has something to tell besides its success.
	event func(kind Kind, output string, err error)

	mu             sync.Mutex
	started, ready bool
	failed         Kind
	startedSignal  chan struct{}
}

// NewGroup returns the Group of t. changed is called, from other goroutines, after Started, Ready or Failed changed.
func NewGroup(t Target, check Check, changed func(), event func(kind Kind, output string, err error)) *Group {
	g := &Group{target: t, check: check, changed: changed, event: event, startedSignal: make(chan struct{})}
	g.started = t.Container.StartupProbe == nil
	g.ready = t.Container.ReadinessProbe == nil
	if g.started {
		close(g.startedSignal)
	}
	return g
}

// Started tells whether the startup probe has succeeded.
func (g *Group) Started() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.started
}

// Ready tells whether the container should get traffic.
func (g *Group) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.started && g.ready
}

// Failed names the probe that demands a restart, or is empty.
func (g *Group) Failed() Kind {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// Run runs the probes until ctx ends or one demands a restart of the container.
func (g *Group) Run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	run := func(kind Kind, p *corev1.Probe) {
		if p == nil {
			return
		}
		all.Go(func() {
			if kind != Startup && !g.waitStarted(ctx) {
				return
			}
			if g.loop(ctx, kind, p) == over {
				stop()
			}
		})
	}
	run(Startup, g.target.Container.StartupProbe)
	run(Liveness, g.target.Container.LivenessProbe)
	run(Readiness, g.target.Container.ReadinessProbe)
	all.Wait()
}

func (g *Group) waitStarted(ctx context.Context) bool {
	select {
	case <-g.startedSignal:
		return true
	case <-ctx.Done():
		return false
	}
}

// outcome of a probe's loop.
type outcome int

const (
	done outcome = iota // nothing more to probe
	over                // the container must be restarted
)

func (g *Group) loop(ctx context.Context, kind Kind, p *corev1.Probe) outcome {
	period := max(time.Duration(p.PeriodSeconds)*time.Second, time.Second)
	first := time.Until(g.target.StartedAt.Add(time.Duration(p.InitialDelaySeconds) * time.Second))
	if first <= 0 && time.Since(g.target.StartedAt) > period {
		first = rand.N(period) // found running after a restart of the node: do not probe everything at once
	}
	timer := time.NewTimer(max(first, 0))
	defer timer.Stop()
	counter := streak{success: max(p.SuccessThreshold, 1), failure: max(p.FailureThreshold, 1)}
	for {
		select {
		case <-ctx.Done():
			return done
		case <-timer.C:
		}
		ok, output, err := g.once(ctx, p)
		if ctx.Err() != nil {
			return done
		}
		if !ok || err != nil {
			g.event(kind, output, err)
		}
		if ok || err == nil {
			if end, stop := g.judge(kind, counter.add(ok)); stop {
				return end
			}
		}
		timer.Reset(period)
	}
}

func (g *Group) once(ctx context.Context, p *corev1.Probe) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(time.Duration(p.TimeoutSeconds)*time.Second, time.Second))
	defer cancel()
	return g.check(ctx, g.target, p)
}

// judge applies a verdict; stop says that the loop ends.
func (g *Group) judge(kind Kind, v verdict) (end outcome, stop bool) {
	if v == undecided {
		return done, false
	}
	g.mu.Lock()
	changed := false
	switch {
	case kind == Readiness:
		changed = g.ready != (v == passed)
		g.ready = v == passed
	case v == broken:
		g.failed, changed, end, stop = kind, true, over, true
	case kind == Startup && !g.started:
		g.started, changed, stop = true, true, true
		close(g.startedSignal)
	}
	g.mu.Unlock()
	if changed {
		g.changed()
	}
	return end, stop
}

type verdict int

const (
	undecided verdict = iota
	passed
	broken
)

// streak counts equal results in a row.
type streak struct {
	success, failure int32
	last             bool
	count            int32
}

func (s *streak) add(ok bool) verdict {
	if ok != s.last {
		s.last, s.count = ok, 0
	}
	s.count++
	switch {
	case ok && s.count >= s.success:
		return passed
	case !ok && s.count >= s.failure:
		return broken
	}
	return undecided
}
