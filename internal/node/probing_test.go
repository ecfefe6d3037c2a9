package node

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := func(command string) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{command}}}, PeriodSeconds: 5, TimeoutSeconds: 1, FailureThreshold: 2, SuccessThreshold: 1}
		}
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe, p.Spec.Containers[0].ReadinessProbe = probe("live"), probe("ready")
		}))
		w.wait(time.Second)
		if !w.get().Status.ContainerStatuses[0].Ready {
			t.Error("not ready")
		}
		w.rt.mu.Lock()
		w.rt.execs["ready"] = 1
		w.rt.mu.Unlock()
		w.wait(12 * time.Second)
		if w.get().Status.ContainerStatuses[0].Ready {
			t.Error("still ready")
		}
		w.rt.mu.Lock()
		w.rt.execs["live"] = 1
		w.rt.mu.Unlock()
		w.wait(12 * time.Second)
		if s := w.get().Status.ContainerStatuses[0]; s.RestartCount != 1 {
			t.Errorf("not restarted: %+v", s)
		}
		w.wantEvent("Killing Container app failed liveness probe, will be restarted")
		w.wantEvent("Unhealthy Readiness probe failed")
	})
}

// TestGraceOfFailedProbe: only the probe that failed has a say in how long its container may take to stop.
func TestGraceOfFailedProbe(t *testing.T) {
	for name, c := range map[string]struct {
		startup, live int32
		want          string
	}{
		"startup":  {startup: 1, want: "stop app 5"},
		"liveness": {live: 1, want: "stop app 7"},
		"neither":  {want: "stop app 30"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				probe := func(command string, grace int64) *corev1.Probe {
					return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{command}}}, PeriodSeconds: 5, TimeoutSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1, TerminationGracePeriodSeconds: &grace}
				}
				w := newWorld(t)
				w.rt.execs["startup"], w.rt.execs["live"] = c.startup, c.live
				w.create(simplePod(func(p *corev1.Pod) {
					p.Spec.Containers[0].StartupProbe, p.Spec.Containers[0].LivenessProbe = probe("startup", 5), probe("live", 7)
				}))
				w.wait(11 * time.Second)
				if name == "neither" { // another reason to be stopped
					w.rt.mu.Lock()
					w.rt.images["other:latest"] = w.rt.images["busybox:latest"]
					w.rt.mu.Unlock()
					w.update(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" })
				}
				if log := w.rt.log(); !slices.Contains(log, c.want) {
					t.Errorf("no %q in %q", c.want, log)
				}
			})
		})
	}
}
