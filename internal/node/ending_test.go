package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// lateAPI answers a deletion long after its watchers have seen it.
type lateAPI struct {
	kubernetes.Interface
	answered, cancelled *atomic.Int32
}

// IsWatchListSemanticsUnSupported is true of every fake: it sends no bookmarks.
func (lateAPI) IsWatchListSemanticsUnSupported() bool { return true }

type lateCore struct {
	corev1client.CoreV1Interface
	api lateAPI
}

type latePods struct {
	corev1client.PodInterface
	api lateAPI
}

func (l lateAPI) CoreV1() corev1client.CoreV1Interface { return lateCore{l.Interface.CoreV1(), l} }

func (l lateCore) Pods(namespace string) corev1client.PodInterface {
	return latePods{l.CoreV1Interface.Pods(namespace), l.api}
}

func (l latePods) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	err := l.PodInterface.Delete(ctx, name, o)
	select {
	case <-ctx.Done():
		l.api.cancelled.Add(1)
		return ctx.Err()
	case <-time.After(time.Second):
		l.api.answered.Add(1)
		return err
	}
}

func TestDeletionIsNotCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stop()
		late := lateAPI{w.api, new(atomic.Int32), new(atomic.Int32)}
		w.use = late
		w.start()
		w.create(simplePod())
		w.update(func(p *corev1.Pod) {
			now, grace := metav1.Now(), int64(20)
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
		})
		w.wait(5 * time.Second)
		if a, c := late.answered.Load(), late.cancelled.Load(); a != 1 || c != 0 {
			t.Errorf("%d deletions were answered and %d called off, want 1 and 0", a, c)
		}
	})
}

// An answer of the runtime from before a task has ended must not make the Worker do the task again.
func TestNothingIsDoneTwiceOnOldNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.mu.Lock()
		w.rt.ignoreStop = true // so that the stop takes all of its 20 s
		w.rt.mu.Unlock()
		w.update(func(p *corev1.Pod) {
			now, grace := metav1.Now(), int64(20)
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
		})
		w.rt.mu.Lock()
		w.rt.slow = 30 * time.Second
		w.rt.emit(w.rt.containers[0], runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
		w.rt.mu.Unlock()
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app", "stop app 20", "stop sandbox", "remove sandbox")
	})
}

func TestEphemeralContainerIsNotForgottenOnOldNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		app := w.rt.find("app")
		w.rt.mu.Lock()
		w.rt.slow = 10 * time.Second
		w.rt.before = map[string]func(){"create e": func() {
			w.rt.emit(app, runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
			w.rt.mu.Unlock()
			time.Sleep(time.Second) // the answer that is under way now does not know e
			w.rt.mu.Lock()
		}}
		w.rt.mu.Unlock()
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("e", ""))
		})
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app", "create e 0", "start e")
	})
}

func TestEphemeralContainerOutlivesFailedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		app := w.rt.find("app")
		w.rt.mu.Lock()
		w.rt.refuse["start bound"] = context.Canceled
		w.rt.before = map[string]func(){"start bound": func() { w.rt.end(app, 1) }}
		w.rt.mu.Unlock()
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("bound", "app"))
		})
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "waiting CreateContainerError" || s.ContainerID != "" {
			t.Errorf("a start that came too late: %s %q", state(s), s.ContainerID)
		}
		w.rt.mu.Lock()
		w.rt.refuse, w.rt.before = map[string]error{}, nil
		w.rt.mu.Unlock()
		w.wait(5 * time.Second)
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "running" {
			t.Errorf("with the target's next run: %s", state(s))
		}
	})
}

func TestEphemeralContainerThatFailsStaysFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.mu.Lock()
		w.rt.refuse["start bound"] = context.Canceled
		w.rt.mu.Unlock()
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("bound", "app"))
		})
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app", "create bound 0", "start bound")
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "terminated 128 StartError" {
			t.Errorf("%s", state(s))
		}
	})
}

func TestEphemeralContainerOfEndedPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
		w.rt.exit(t, "app", 0)
		w.wait(time.Second)
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("late", ""))
		})
		w.wait(time.Second)
		if s := w.get().Status; s.Phase != corev1.PodSucceeded || state(s.EphemeralContainerStatuses[0]) != "terminated 128 StartError" {
			t.Errorf("%s, %s", s.Phase, state(s.EphemeralContainerStatuses[0]))
		}
		w.wantLog("run p", "create app 0", "start app", "stop sandbox")
	})
}

func TestAllContainersRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "busybox"}}
			app := p.Spec.Containers[0]
			app.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"bye"}}}}
			watcher := p.Spec.Containers[0]
			watcher.Name = "watcher"
			watcher.RestartPolicyRules = []corev1.ContainerRestartRule{{
				Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{88}},
			}}
			p.Spec.Containers = []corev1.Container{app, watcher}
		}))
		w.rt.exit(t, "init", 0)
		w.wait(time.Second)
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("e", ""))
		})
		w.wait(time.Second)
		before := len(w.rt.log())
		w.rt.exit(t, "watcher", 88)
		w.wait(time.Second)
		s := w.get().Status
		if s.Phase != corev1.PodRunning || state(s.InitContainerStatuses[0]) != "running" || state(s.EphemeralContainerStatuses[0]) != "terminated 143 Error" {
			t.Errorf("while all are renewed: %s, init %s, e %s", s.Phase, state(s.InitContainerStatuses[0]), state(s.EphemeralContainerStatuses[0]))
		}
		w.wantCondition(corev1.AllContainersRestarting, corev1.ConditionTrue)
		w.rt.exit(t, "init", 0)
		w.wait(time.Second)
		counts := map[string]int{}
		for _, call := range w.rt.log()[before:] {
			counts[call]++
		}
		for _, call := range []string{"stop app 30", "stop e 30", "create init 1", "create app 1", "create watcher 1"} {
			if counts[call] != 1 {
				t.Errorf("%q was done %d times", call, counts[call])
			}
		}
		if counts["exec bye"] > 0 || counts["create e 1"]+counts["create e 0"] > 0 {
			t.Errorf("calls: %v", counts)
		}
		w.wantCondition(corev1.AllContainersRestarting, corev1.ConditionFalse)
		if s := w.get().Status.ContainerStatuses; state(s[0]) != "running" || state(s[1]) != "running" || s[1].RestartCount != 1 {
			t.Errorf("after: %s, %s", state(s[0]), state(s[1]))
		}
	})
}

func (w *world) wantCondition(t corev1.PodConditionType, want corev1.ConditionStatus) {
	w.Helper()
	for _, c := range w.get().Status.Conditions {
		if c.Type == t {
			if c.Status != want {
				w.Errorf("%s is %s, want %s", t, c.Status, want)
			}
			return
		}
	}
	w.Errorf("no condition %s", t)
}

func TestVolumeOverItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(simplePod(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: quantity("64Ki")}}}}
		}))
		w.wait(30 * time.Second)
		if phase := w.get().Status.Phase; phase != corev1.PodRunning {
			t.Fatalf("phase %s of a pod within its limits", phase)
		}
		w.fill("u1", "v", 256<<10)
		w.wait(15 * time.Second)
		if s := w.get().Status; s.Phase != corev1.PodFailed || s.Reason != "Evicted" || s.Message != `Usage of EmptyDir volume "v" exceeds the limit "64Ki". ` {
			t.Errorf("%s %s %q", s.Phase, s.Reason, s.Message)
		}
		w.wantEvent("Evicted Usage of EmptyDir volume")
	})
}

func TestClusterDNSIsMissedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"p", "q"} {
			w.create(simplePod(func(p *corev1.Pod) {
				p.Name, p.UID, p.Spec.DNSPolicy = name, types.UID(name), corev1.DNSClusterFirst
			}))
		}
		w.wait(time.Second)
		w.wantEvent("MissingClusterDNS kubelet does not have ClusterDNS IP configured")
		count := 0
		for _, e := range w.told {
			if strings.HasPrefix(e, "MissingClusterDNS") {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d events about DNS", count)
		}
	})
}

func quantity(text string) *resource.Quantity {
	q := resource.MustParse(text)
	return &q
}

// fill writes a file into an emptyDir of a Pod.
func (w *world) fill(uid, volume string, size int) {
	w.Helper()
	dir := filepath.Join(w.cfg.RootDir, "pods", uid, "volumes", "kubernetes.io~empty-dir", volume)
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, size), 0o600); err != nil {
		w.Fatal(err)
	}
}
