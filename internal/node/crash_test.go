package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestCrashLoop holds for one agent, and for one that is made anew at every turn.
func TestCrashLoop(t *testing.T) {
	for name, between := range map[string]func(w *world){
		"one agent":   func(*world) {},
		"many agents": func(w *world) { w.stop(); w.start() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simplePod())
				w.rt.exit(t, "app", 1)
				synctest.Wait()
				if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" || s.RestartCount != 1 || s.LastTerminationState.Terminated == nil {
					t.Fatalf("first crash: %s, %d restarts", state(s), s.RestartCount)
				}
				want := 10 * time.Second
				for restarts := int32(2); restarts < 8; restarts++ {
					between(w)
					w.rt.exit(t, "app", 1)
					synctest.Wait()
					between(w)
					s := w.get().Status.ContainerStatuses[0]
					message := fmt.Sprintf("back-off %s restarting failed container=app pod=p_default(u1)", want)
					if state(s) != "waiting CrashLoopBackOff" || s.State.Waiting.Message != message {
						t.Fatalf("before restart %d: %s %+v, want %s", restarts, state(s), s.State.Waiting, message)
					}
					w.wait(want - time.Second)
					if s := w.get().Status.ContainerStatuses[0]; state(s) == "running" {
						t.Fatalf("restart %d came too early", restarts)
					}
					w.wait(time.Second + 10*time.Millisecond)
					if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" || s.RestartCount != restarts {
						t.Fatalf("restart %d: %s, %d", restarts, state(s), s.RestartCount)
					}
					want = min(2*want, 5*time.Minute)
				}
				w.wantEvent("BackOff Back-off restarting failed container app in pod p_default(u1)")
				w.wait(20 * time.Minute)
				between(w)
				w.rt.exit(t, "app", 1)
				synctest.Wait()
				if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" {
					t.Errorf("the back-off is not forgotten: %s", state(s))
				}
			})
		})
	}
}

// TestCrashOfAnotherImage: a back-off is the image's; another one is tried at once.
func TestCrashOfAnotherImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		for range 2 {
			w.rt.exit(t, "app", 1)
			synctest.Wait()
		}
		if s := w.get().Status.ContainerStatuses[0]; state(s) != "waiting CrashLoopBackOff" {
			t.Fatalf("after two crashes: %s", state(s))
		}
		w.update(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "better" })
		w.wait(time.Second)
		if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" {
			t.Errorf("with another image: %s %+v", state(s), s.State.Waiting)
		}
	})
}

// TestTakenDown: what `mayfly down` or a reboot ended is no crash.
func TestTakenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.exit(t, "app", 1)
		w.wait(time.Second)
		w.stop()
		w.rt.mu.Lock()
		w.rt.sandboxes[0].State = runtimev1.PodSandboxState_SANDBOX_NOTREADY
		w.rt.end(w.rt.containers[1], 137)
		w.rt.mu.Unlock()
		w.start()
		w.wantLog("run p", "create app 0", "start app", "create app 1", "start app", "run p", "create app 2", "start app")
		s := w.get().Status.ContainerStatuses[0]
		if last := s.LastTerminationState.Terminated; state(s) != "running" || last == nil || last.ExitCode != 137 || last.Reason != "Error" {
			t.Errorf("%s, last %v", state(s), last)
		}
	})
}
