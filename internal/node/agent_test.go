package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// world is an agent between a fake API and a fake runtime.
type world struct {
	*testing.T
	ctx  context.Context
	api  *fake.Clientset
	use  kubernetes.Interface // what the agent sees of api
	rt   *fakeRuntime
	cfg  Config
	stop func()
	// files are the static Pods, if there are any.
	files source

	mu   sync.Mutex
	told []string // "Reason message" of all events
}

// newWorld starts an agent. It must run in a synctest bubble: nothing in it takes real time.
func newWorld(t *testing.T, objects ...*corev1.Pod) *world {
	w := &world{T: t, api: fake.NewClientset(), rt: newFakeRuntime("busybox:latest"), stop: func() {}}
	w.ctx, w.use = t.Context(), w.api
	w.api.PrependReactor("*", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(clienttesting.CreateAction)
		if !ok {
			return true, &corev1.Event{}, nil
		}
		event := create.GetObject().(*corev1.Event)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, event.Reason+" "+event.Message)
		return true, event, nil
	})
	w.cfg = Config{NodeName: "n1", RuntimeEndpoint: "fake", RootDir: t.TempDir(), LogDir: t.TempDir(), Address: "192.0.2.9", CgroupRoot: "/mf", Cgroups: w.rt, Version: "v1", ImageGCHigh: 101, ImageGCLow: defaultGCLow} // however full this machine is
	for _, p := range objects {
		w.create(p)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	w.Helper()
	cfg := w.cfg
	cfg.LogMaxSize, cfg.LogMaxFiles, cfg.MaxPods = defaultLogSize, defaultLogFiles, 10
	agent := assemble(cfg, w.use, w.rt.dial(w.T), machine{hostname: "host", memory: 4 << 30, info: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}})
	if w.files != nil {
		agent.pods.statics.dir = w.files
	}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	w.stop = func() {
		w.stop = func() {}
		cancel()
		if err := <-done; err != nil {
			w.Errorf("agent: %v", err)
		}
	}
	<-agent.Ready()
	synctest.Wait()
}

func (w *world) create(p *corev1.Pod) {
	w.Helper()
	if _, err := w.api.CoreV1().Pods(p.Namespace).Create(w.ctx, p, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) get() *corev1.Pod {
	w.Helper()
	p, err := w.api.CoreV1().Pods("default").Get(w.ctx, "p", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) update(change func(*corev1.Pod)) {
	w.Helper()
	p := w.get()
	change(p)
	if _, err := w.api.CoreV1().Pods("default").Update(w.ctx, p, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// wait lets time pass and everything settle.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) wantLog(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.rt.log()); diff != "" {
		w.Errorf("calls of the runtime (-want +got):\n%s", diff)
	}
}

func (w *world) wantEvent(part string) {
	w.Helper()
	w.wait(time.Second) // events may come late
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.told, func(e string) bool { return strings.Contains(e, part) }) {
		w.Errorf("no event %q in:\n%s", part, strings.Join(w.told, "\n"))
	}
}

func state(s corev1.ContainerStatus) string {
	switch {
	case s.State.Running != nil:
		return "running"
	case s.State.Terminated != nil:
		return fmt.Sprintf("terminated %d %s", s.State.Terminated.ExitCode, s.State.Terminated.Reason)
	case s.State.Waiting != nil:
		return "waiting " + s.State.Waiting.Reason
	}
	return "nothing"
}

func simplePod(change ...func(*corev1.Pod)) *corev1.Pod {
	grace := int64(30)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u1"},
		Spec: corev1.PodSpec{
			NodeName: "n1", RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "app", Image: "busybox", Command: []string{"sleep", "$(N)"}, Env: []corev1.EnvVar{{Name: "N", Value: "9"}},
				ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile}},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func ephemeral(name, target string) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent, Stdin: true, TTY: true},
		TargetContainerName:      target,
	}
}

// TestOwnUsers: a Pod's IDs on the host are its own, whatever agent looks after it.
func TestOwnUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := false
		alone := func(name string) *corev1.Pod {
			return simplePod(func(p *corev1.Pod) { p.Name, p.UID, p.Spec.HostUsers = name, types.UID(name), &no })
		}
		w := newWorld(t, alone("a"))
		w.wait(time.Second)
		w.stop()
		w.start()
		w.create(alone("b"))
		w.wait(time.Second)
		for i, want := range []uint32{65536, 131072} {
			users := w.rt.sandboxLog[i].GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions()
			if users.GetMode() != runtimev1.NamespaceMode_POD || users.GetUids()[0].GetHostId() != want || users.GetGids()[0].GetHostId() != want {
				t.Errorf("%s has %v, want from %d", w.rt.sandboxLog[i].GetMetadata().GetName(), users, want)
			}
		}
		config := w.rt.find("app").config
		if got := config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions().GetUids()[0].GetHostId(); got != 131072 {
			t.Errorf("the container has %d", got)
		}
		for _, m := range config.GetMounts() {
			if len(m.GetUidMappings()) != 1 || m.GetGidMappings()[0].GetHostId() != 131072 {
				t.Errorf("mount %v", m)
			}
		}
	})
}

func TestPodRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.wantLog("run p", "create app 0", "start app")
		p := w.get()
		if p.Status.Phase != corev1.PodRunning || p.Status.PodIP != "10.0.0.7" || p.Status.HostIP != "192.0.2.9" {
			t.Errorf("status: %+v", p.Status)
		}
		if c := p.Status.ContainerStatuses[0]; state(c) != "running" || !c.Ready || c.ContainerID != "fake://c2" || !*c.Started {
			t.Errorf("container: %+v", c)
		}
		for _, c := range p.Status.Conditions {
			if c.Status != corev1.ConditionTrue {
				t.Errorf("condition %s is %s: %s", c.Type, c.Status, c.Message)
			}
		}
		config := w.rt.find("app").config
		if got := config.GetCommand()[1]; got != "9" {
			t.Errorf("command is not expanded: %s", got)
		}
		if got := w.rt.sandboxLog[0].GetLinux().GetCgroupParent(); got != "/mf/kubepods/besteffort/podu1" {
			t.Errorf("cgroup parent %s", got)
		}
		w.wait(time.Second)
		for _, part := range []string{"already present on machine and can be accessed by the pod", "Created Container created", "Started Container started"} {
			w.wantEvent(part)
		}
		node, err := w.api.CoreV1().Nodes().Get(w.ctx, "n1", metav1.GetOptions{})
		if err != nil || node.Labels[corev1.LabelHostname] != "n1" {
			t.Errorf("node: %v %v", node, err)
		}
	})
}

func TestEphemeralContainerRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("debugger", "app"))
		})
		w.wantLog("run p", "create app 0", "start app", "create debugger 0", "start debugger")
		if s := w.get().Status.EphemeralContainerStatuses; len(s) != 1 || state(s[0]) != "running" || s[0].Ready {
			t.Errorf("ephemeral status: %+v", s)
		}
		config := w.rt.find("debugger").config
		namespaces := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
		if namespaces.GetPid() != runtimev1.NamespaceMode_TARGET || namespaces.GetTargetId() != w.rt.find("app").GetId() {
			t.Errorf("namespaces: %v", namespaces)
		}
		if r := config.GetLinux().GetResources(); r.GetMemoryLimitInBytes() != 512<<20 || r.GetOomScoreAdj() != 1000 {
			t.Errorf("resources: %v", r)
		}
		w.rt.exit(t, "debugger", 3)
		w.wait(time.Hour)
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "terminated 3 Error" {
			t.Errorf("after the end: %s", state(s))
		}
		w.stop() // a new agent, and a runtime that has forgotten it
		w.rt.mu.Lock()
		w.rt.containers = slices.DeleteFunc(w.rt.containers, func(c *fakeContainer) bool { return c.GetMetadata().GetName() == "debugger" })
		w.rt.mu.Unlock()
		w.start()
		w.wait(time.Hour)
		if got := w.rt.log(); len(got) != 5 {
			t.Errorf("something was started again: %v", got)
		}
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "terminated 3 Error" {
			t.Errorf("after the runtime forgot it: %s", state(s))
		}
	})
}

func TestEphemeralContainerWaitsForTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.exit(t, "app", 1) // started again at once
		synctest.Wait()
		w.rt.exit(t, "app", 1) // now it backs off
		synctest.Wait()
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("free", ""), ephemeral("bound", "app"))
		})
		s := w.get().Status.EphemeralContainerStatuses
		if state(s[0]) != "running" || state(s[1]) != "waiting CreateContainerError" {
			t.Errorf("states: %s, %s", state(s[0]), state(s[1]))
		}
		w.wait(11 * time.Second)
		if s := w.get().Status.EphemeralContainerStatuses[1]; state(s) != "running" {
			t.Errorf("the target runs, but: %s", state(s))
		}
	})
}

func TestInitContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		always := corev1.ContainerRestartPolicyAlways
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			one, two, side := p.Spec.Containers[0], p.Spec.Containers[0], p.Spec.Containers[0]
			one.Name, two.Name, side.Name, side.RestartPolicy = "one", "two", "side", &always
			p.Spec.InitContainers = []corev1.Container{one, side, two}
		}))
		w.wantLog("run p", "create one 0", "start one")
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("debugger", "one"))
		})
		if s := w.get().Status.EphemeralContainerStatuses; state(s[0]) != "running" {
			t.Errorf("ephemeral container beside an init container: %s", state(s[0]))
		}
		w.rt.exit(t, "one", 0)
		synctest.Wait()
		w.rt.exit(t, "two", 0)
		synctest.Wait()
		w.wantLog("run p", "create one 0", "start one", "create debugger 0", "start debugger", "create side 0", "start side", "create two 0", "start two", "create app 0", "start app")
		if p := w.get(); p.Status.Phase != corev1.PodRunning || !p.Status.InitContainerStatuses[1].Ready {
			t.Errorf("status: %+v", p.Status)
		}
		w.rt.exit(t, "side", 1)
		synctest.Wait()
		if s := w.get().Status.InitContainerStatuses[1]; state(s) != "running" || s.RestartCount != 1 {
			t.Errorf("sidecar: %s", state(s))
		}
	})
}

func TestFailingInitContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			one := p.Spec.Containers[0]
			one.Name = "one"
			p.Spec.InitContainers, p.Spec.RestartPolicy = []corev1.Container{one}, corev1.RestartPolicyNever
		}))
		w.rt.exit(t, "one", 2)
		synctest.Wait()
		if p := w.get(); p.Status.Phase != corev1.PodFailed {
			t.Errorf("phase %s", p.Status.Phase)
		}
		w.wantLog("run p", "create one 0", "start one", "stop sandbox")
	})
}

func TestCompletion(t *testing.T) {
	for name, c := range map[string]struct {
		policy corev1.RestartPolicy
		code   int32
		phase  corev1.PodPhase
	}{
		"never, well":       {corev1.RestartPolicyNever, 0, corev1.PodSucceeded},
		"never, badly":      {corev1.RestartPolicyNever, 7, corev1.PodFailed},
		"on failure, well":  {corev1.RestartPolicyOnFailure, 0, corev1.PodSucceeded},
		"on failure, badly": {corev1.RestartPolicyOnFailure, 7, corev1.PodRunning},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simplePod(func(p *corev1.Pod) { p.Spec.RestartPolicy = c.policy }))
				w.rt.exit(t, "app", c.code)
				w.wait(time.Minute)
				if got := w.get().Status.Phase; got != c.phase {
					t.Errorf("phase %s, want %s", got, c.phase)
				}
			})
		})
	}
}

func TestImageProblems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rt.refuse["pull nowhere/x:latest"] = errors.New("connection refused")
		w.create(simplePod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "nowhere/x" }))
		if s := w.get().Status.ContainerStatuses[0]; state(s) != "waiting ErrImagePull" || !strings.Contains(s.State.Waiting.Message, "connection refused") {
			t.Errorf("%s: %+v", state(s), s.State.Waiting)
		}
		w.wait(3 * time.Second)
		if s := w.get().Status.ContainerStatuses[0]; state(s) != "waiting ImagePullBackOff" {
			t.Errorf("then: %s", state(s))
		}
		w.rt.mu.Lock()
		delete(w.rt.refuse, "pull nowhere/x:latest")
		w.rt.mu.Unlock()
		w.wait(10 * time.Second)
		if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" {
			t.Errorf("after the registry came back: %s", state(s))
		}
		for _, part := range []string{`Pulling Pulling image "nowhere/x"`, `Failed Failed to pull image "nowhere/x"`, "Failed Error: ErrImagePull", `Pulled Successfully pulled image "nowhere/x" in`} {
			w.wantEvent(part)
		}
	})
}

func TestStartError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.mu.Lock()
		w.rt.refuse["start debugger"] = errors.New("exec: no such file")
		w.rt.mu.Unlock()
		w.update(func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, ephemeral("debugger", ""))
		})
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app", "create debugger 0", "start debugger")
		if s := w.get().Status.EphemeralContainerStatuses[0]; state(s) != "terminated 128 StartError" {
			t.Errorf("ephemeral: %s", state(s))
		}
	})
}

func TestMissingObject(t *testing.T) {
	reference := corev1.LocalObjectReference{Name: "late"}
	meta := metav1.ObjectMeta{Name: "late", Namespace: "default"}
	for name, test := range map[string]struct {
		from corev1.EnvFromSource
		want string
		make func(w *world) error
	}{
		"configmap": {
			corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: reference}}, `configmap "late" not found`,
			func(w *world) error { return w.api.Tracker().Add(&corev1.ConfigMap{ObjectMeta: meta}) },
		},
		"secret": {
			corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: reference}}, `secret "late" not found`,
			func(w *world) error { return w.api.Tracker().Add(&corev1.Secret{ObjectMeta: meta}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simplePod(func(p *corev1.Pod) { p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{test.from} }))
				s := w.get().Status.ContainerStatuses[0]
				if state(s) != "waiting CreateContainerConfigError" || s.State.Waiting.Message != test.want {
					t.Errorf("%s: %+v, want %q", state(s), s.State.Waiting, test.want)
				}
				w.wantEvent("Failed Error: " + test.want)
				if err := test.make(w); err != nil {
					t.Fatal(err)
				}
				w.wait(15 * time.Second)
				if s := w.get().Status.ContainerStatuses[0]; state(s) != "running" {
					t.Errorf("later: %s", state(s))
				}
			})
		})
	}
}

func TestDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"bye"}}}}
		}))
		w.rt.ignoreStop = true
		began := time.Now()
		w.update(func(p *corev1.Pod) {
			now, grace := metav1.Now(), int64(20)
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
		})
		w.wait(19 * time.Second)
		w.get() // still there
		w.wait(2 * time.Second)
		_, err := w.api.CoreV1().Pods("default").Get(w.ctx, "p", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("not deleted after %v: %v", time.Since(began), err)
		}
		w.wantLog("run p", "create app 0", "start app", "exec bye", "stop app 20", "stop sandbox", "remove sandbox")
		w.wantEvent("Killing Stopping container app")
	})
}

func TestDeletionWithLessGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.rt.ignoreStop = true
		for _, grace := range []int64{300, 1} {
			w.update(func(p *corev1.Pod) {
				now := metav1.Now()
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
			})
			w.wait(time.Second)
		}
		w.wait(time.Second)
		if _, err := w.api.CoreV1().Pods("default").Get(w.ctx, "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("not deleted: %v", err)
		}
	})
}

func TestStrangerIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.stop()
		if err := w.api.CoreV1().Pods("default").Delete(w.ctx, "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(w.rt.sandboxes) != 1 || !strings.HasPrefix(w.rt.log()[0], "run") {
			t.Fatal("containers do not outlive the agent")
		}
		w.start()
		w.wait(5 * time.Second)
		if len(w.rt.sandboxes) != 0 {
			t.Errorf("the pod is still there: %v", w.rt.log())
		}
	})
}

func TestRestartedAgentTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod())
		w.stop()
		w.start()
		w.wait(time.Hour)
		w.wantLog("run p", "create app 0", "start app")
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seconds := int64(60)
		w := newWorld(t, simplePod(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &seconds }))
		w.wait(59 * time.Second)
		if got := w.get().Status.Phase; got != corev1.PodRunning {
			t.Errorf("phase %s", got)
		}
		w.wait(2 * time.Second)
		if s := w.get().Status; s.Phase != corev1.PodFailed || s.Reason != "DeadlineExceeded" {
			t.Errorf("after the deadline: %s %s", s.Phase, s.Reason)
		}
	})
}

func TestUnsupportedVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
		}))
		w.wait(time.Second)
		if s := w.get().Status; s.Phase != corev1.PodPending || !strings.Contains(s.ContainerStatuses[0].State.Waiting.Message, "persistentVolumeClaim") {
			t.Errorf("status %+v", s)
		}
		w.wantEvent("persistentVolumeClaim, which this node does not support")
	})
}

func TestSandboxIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simplePod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Name: "http"}}
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("nope")}}, PeriodSeconds: 10}
		}))
		w.rt.mu.Lock()
		w.rt.sandboxes[0].State = runtimev1.PodSandboxState_SANDBOX_NOTREADY
		c := w.rt.containers[0]
		w.rt.end(c, 255)
		w.rt.mu.Unlock()
		w.wait(time.Minute)
		if got := w.rt.log(); !slices.Contains(got, "create app 1") {
			t.Errorf("no new sandbox: %v", got)
		}
	})
}
