package node

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func amounts(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

// sized is a Pod whose container has cpu and memory as its requests and limits.
func sized(cpu, memory string, restart ...corev1.ResourceName) *corev1.Pod {
	return simplePod(func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.Resources = corev1.ResourceRequirements{Requests: amounts(cpu, memory), Limits: amounts(cpu, memory)}
		for _, name := range restart {
			c.ResizePolicy = append(c.ResizePolicy, corev1.ContainerResizePolicy{ResourceName: name, RestartPolicy: corev1.RestartContainer})
		}
	})
}

// resize asks for other resources, and waits for what comes of it.
func (w *world) resize(cpu, memory string) corev1.ContainerStatus {
	w.Helper()
	w.update(func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: amounts(cpu, memory), Limits: amounts(cpu, memory)}
	})
	w.wait(time.Second)
	return w.get().Status.ContainerStatuses[0]
}

// wantResources compares what the status says of the container's limits.
func (w *world) wantResources(s corev1.ContainerStatus, cpu, memory string) {
	w.Helper()
	if s.Resources == nil {
		w.Errorf("no resources in the status")
		return
	}
	if diff := cmp.Diff(amounts(cpu, memory), s.Resources.Limits); diff != "" {
		w.Errorf("limits in the status (-want +got):\n%s", diff)
	}
}

func (w *world) wantNoCondition(t corev1.PodConditionType) {
	w.Helper()
	for _, c := range w.get().Status.Conditions {
		if c.Type == t {
			w.Errorf("condition %s: %+v", t, c)
		}
	}
}

func TestResizeInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi"))
		s := w.resize("500m", "128Mi")
		w.wantLog("run p", "create app 0", "start app", "resize app cpu 512/50000 memory 134217728")
		w.wantResources(s, "500m", "128Mi")
		if s.RestartCount != 0 || !s.AllocatedResources.Memory().Equal(resource.MustParse("128Mi")) {
			t.Errorf("%+v", s)
		}
		w.wantNoCondition(corev1.PodResizeInProgress)
		w.stop() // and a new agent finds nothing to do
		w.start()
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app", "resize app cpu 512/50000 memory 134217728")
	})
}

func TestResizeByRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi", corev1.ResourceMemory))
		w.wantResources(w.resize("500m", "64Mi"), "500m", "64Mi")
		s := w.resize("500m", "128Mi")
		w.wantLog("run p", "create app 0", "start app", "resize app cpu 512/50000 memory 67108864", "stop app 30", "create app 1", "start app")
		w.wantResources(s, "500m", "128Mi")
		w.wantEvent("Killing Container app resize requires restart")
		if s.RestartCount != 1 || state(s) != "running" {
			t.Errorf("%s after %d restarts", state(s), s.RestartCount)
		}
	})
}

// TestResizeOfRequestByRestart: also what the runtime is told nothing of is a change of the resource.
func TestResizeOfRequestByRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi", corev1.ResourceMemory))
		request := func(memory string) corev1.ContainerStatus {
			w.update(func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Requests = amounts("1", memory)
			})
			w.wait(time.Second)
			return w.get().Status.ContainerStatuses[0]
		}
		s := request("32Mi")
		w.wantLog("run p", "create app 0", "start app", "stop app 30", "create app 1", "start app")
		if s.RestartCount != 1 || state(s) != "running" || !s.Resources.Requests.Memory().Equal(resource.MustParse("32Mi")) {
			t.Errorf("%s after %d restarts: %+v", state(s), s.RestartCount, s.Resources)
		}
		w.wantNoCondition(corev1.PodResizeInProgress)
		w.rt.mu.Lock()
		w.rt.ignoreStop = true
		w.rt.mu.Unlock()
		if s := request("48Mi"); s.RestartCount != 1 || !s.Resources.Requests.Memory().Equal(resource.MustParse("32Mi")) {
			t.Errorf("before it has stopped: %d restarts, %+v", s.RestartCount, s.Resources)
		}
		w.wantCondition(corev1.PodResizeInProgress, corev1.ConditionTrue)
	})
}

// TestResizeOfLimitByRestart: the Pod's cgroup has room for the next run, though nothing more was requested.
func TestResizeOfLimitByRestart(t *testing.T) {
	for name, away := range map[string]bool{"watched": false, "while no agent was there": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				burstable := sized("1", "64Mi", corev1.ResourceCPU)
				burstable.Spec.Containers[0].Resources.Requests = amounts("500m", "32Mi")
				w := newWorld(t, burstable)
				w.wait(time.Second)
				if away {
					w.stop()
				}
				w.update(func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("2", "64Mi") })
				if away {
					w.start()
				}
				w.wait(time.Second)
				w.wantLog("run p", "create app 0", "start app", "stop app 30", "create app 1", "start app")
				if limits := w.rt.limited(); !slices.Contains(limits, "/mf/kubepods/burstable/podu1 cpu 512/200000 memory 67108864") {
					t.Errorf("the pod's cgroup stays as it was: %q", limits)
				}
			})
		})
	}
}

// TestResizeBelowUsage: a limit is not lowered to what would kill.
func TestResizeBelowUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi"))
		w.rt.mu.Lock()
		w.rt.usage = 40 << 20
		w.rt.mu.Unlock()
		w.wantResources(w.resize("1", "32Mi"), "1", "64Mi")
		const want = `cannot decrease memory limits: attempting to set container "app" memory limit (33554432) below current usage (41943040)`
		for _, c := range w.get().Status.Conditions {
			if c.Type == corev1.PodResizeInProgress && (c.Reason != corev1.PodReasonError || c.Message != want) {
				t.Errorf("%+v", c)
			}
		}
		w.wantCondition(corev1.PodResizeInProgress, corev1.ConditionTrue)
		w.wantLog("run p", "create app 0", "start app")
		w.wantResources(w.resize("1", "48Mi"), "1", "48Mi")
		w.wantNoCondition(corev1.PodResizeInProgress)
	})
}

func TestResizeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi"))
		w.rt.mu.Lock()
		w.rt.refuse["resize app"] = errors.New("it uses more")
		w.rt.mu.Unlock()
		w.wantResources(w.resize("1", "32Mi"), "1", "64Mi")
		w.wantCondition(corev1.PodResizeInProgress, corev1.ConditionTrue)
		for _, c := range w.get().Status.Conditions {
			if c.Type == corev1.PodResizeInProgress && (c.Reason != corev1.PodReasonError || c.Message != "it uses more") {
				t.Errorf("%+v", c)
			}
		}
		w.rt.mu.Lock()
		delete(w.rt.refuse, "resize app")
		w.rt.mu.Unlock()
		w.wait(3 * time.Minute)
		w.wantResources(w.get().Status.ContainerStatuses[0], "1", "32Mi")
		w.wantNoCondition(corev1.PodResizeInProgress)
	})
}

// TestResizeBeyondTheNode keeps what the container has, also over a restart of it.
func TestResizeBeyondTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sized("1", "64Mi"))
		s := w.resize("1", "8Gi")
		w.wantLog("run p", "create app 0", "start app")
		w.wantResources(s, "1", "64Mi")
		w.wantCondition(corev1.PodResizePending, corev1.ConditionTrue)
		for _, c := range w.get().Status.Conditions {
			if c.Type == corev1.PodResizePending && (c.Reason != corev1.PodReasonInfeasible || c.Message != "Node didn't have enough capacity: memory, requested: 8589934592, capacity: 4294967296") {
				t.Errorf("%+v", c)
			}
		}
		w.rt.exit(t, "app", 1)
		w.wait(time.Second)
		if got := w.rt.find("app").config.GetLinux().GetResources().GetMemoryLimitInBytes(); got != 64<<20 {
			t.Errorf("the next run has %d bytes", got)
		}
		w.wantResources(w.resize("1", "96Mi"), "1", "96Mi")
		w.wantNoCondition(corev1.PodResizePending)
	})
}

// TestResizeWaitsForRoom: what others have is not taken from them, and taken once they are gone.
func TestResizeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := sized("1", "3Gi")
		other.Name, other.UID = "other", "u2"
		w := newWorld(t, sized("1", "64Mi"), other)
		w.wantResources(w.resize("1", "2Gi"), "1", "64Mi")
		w.wantCondition(corev1.PodResizePending, corev1.ConditionTrue)
		w.stop() // a new agent knows as much
		w.start()
		w.wait(2 * time.Minute)
		s := w.get().Status
		w.wantResources(s.ContainerStatuses[0], "1", "64Mi")
		for _, c := range s.Conditions {
			if c.Type == corev1.PodResizePending && (c.Reason != corev1.PodReasonDeferred || c.Message != "Node didn't have enough resource: memory, requested: 2147483648, used: 3221225472, capacity: 4294967296") {
				t.Errorf("%+v", c)
			}
		}
		w.wait(10 * time.Second) // not when it looks again anyhow
		if err := w.api.CoreV1().Pods("default").Delete(w.ctx, "other", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.wait(2 * time.Second)
		w.wantResources(w.get().Status.ContainerStatuses[0], "1", "2Gi")
		w.wantNoCondition(corev1.PodResizePending)
	})
}

// TestResizeTakesRoomAtOnce: a Pod that ends, or is content with less, leaves room though it stays.
func TestResizeTakesRoomAtOnce(t *testing.T) {
	for name, leave := range map[string]func(*world){
		"ended": func(w *world) { w.rt.exit(w.T, "other", 0) },
		"less": func(w *world) {
			object, err := w.api.CoreV1().Pods("default").Get(w.ctx, "other", metav1.GetOptions{})
			if err != nil {
				w.Fatal(err)
			}
			object.Spec.Containers[0].Resources.Requests = amounts("1", "1Gi")
			if _, err := w.api.CoreV1().Pods("default").Update(w.ctx, object, metav1.UpdateOptions{}); err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				other := sized("1", "3Gi")
				other.Name, other.UID, other.Spec.RestartPolicy, other.Spec.Containers[0].Name = "other", "u2", corev1.RestartPolicyNever, "other"
				w := newWorld(t, sized("1", "64Mi"), other)
				w.wantResources(w.resize("1", "2Gi"), "1", "64Mi")
				w.wait(10 * time.Second)
				leave(w)
				w.wait(2 * time.Second)
				w.wantResources(w.get().Status.ContainerStatuses[0], "1", "2Gi")
			})
		})
	}
}
