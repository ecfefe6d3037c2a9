package pod

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// syncProbes begins probing containers that run and ends it for those that do not. Called with mu held.
func (w *Worker) syncProbes(ctx context.Context) {
	for _, list := range [][]corev1.Container{w.spec.Spec.InitContainers, w.spec.Spec.Containers} {
		for i := range list {
			if c := &list[i]; c.StartupProbe != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil {
				w.startProbing(ctx, c)
			}
		}
	}
	for id, p := range w.probes {
		if !w.rt.ByID(id).Running() || w.spec.DeletionTimestamp != nil && p.Failed() == "" {
			p.stop()
			if !w.rt.ByID(id).Running() {
				delete(w.probes, id)
			}
		}
	}
}

func (w *Worker) startProbing(ctx context.Context, c *corev1.Container) {
	latest := w.rt.Latest(c.Name)
	if !latest.Running() || w.probes[latest.GetId()] != nil || w.spec.DeletionTimestamp != nil {
		return
	}
	pod, ip := w.spec, ""
	if ips := status.PodIPs(pod, w.rt, w.HostIPs); len(ips) > 0 {
		ip = ips[0]
	}
	ctx, stop := context.WithCancel(ctx)
	target := probe.Target{Pod: pod, Container: c, ContainerID: latest.GetId(), IP: ip, StartedAt: time.Unix(0, latest.GetStartedAt())}
	group := probe.NewGroup(target, w.Check, w.Wake, func(kind probe.Kind, output string, err error) {
		switch {
		case errors.Is(err, probe.ErrRedirected):
			w.event(pod, c.Name, corev1.EventTypeWarning, "ProbeWarning", "%s probe warning: %s", kind, output)
		case err != nil:
			w.event(pod, c.Name, corev1.EventTypeWarning, "Unhealthy", "%s probe errored and resulted in unknown state: %v", kind, err)
		default:
			w.event(pod, c.Name, corev1.EventTypeWarning, "Unhealthy", "%s probe failed: %s", kind, output)
		}
	})
	w.probes[latest.GetId()] = &probing{Group: group, stop: stop}
	w.tasks.Go(func() { group.Run(ctx) })
}

// startedNow tells whether a running container has passed its startup probe.
func (w *Worker) startedNow(name string) bool {
	if c := specOf(w.spec, name); c == nil || c.StartupProbe == nil {
		return true
	}
	p := w.probes[w.rt.Latest(name).GetId()]
	return p != nil && p.Started()
}

// readyNow tells whether a running container passes its readiness probe.
func (w *Worker) readyNow(name string) bool {
	c := specOf(w.spec, name)
	if c == nil || c.ReadinessProbe == nil {
		return true
	}
	p := w.probes[w.rt.Latest(name).GetId()]
	return p != nil && p.Ready()
}

func (w *Worker) stopProbes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.probes {
		p.stop()
	}
}
