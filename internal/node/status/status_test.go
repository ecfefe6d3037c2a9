package status

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// run is one run of a container, as a test table writes it.
type run struct {
	name    string
	attempt uint32
	state   runtimev1.ContainerState
	code    int32
}

const (
	running = runtimev1.ContainerState_CONTAINER_RUNNING
	exited  = runtimev1.ContainerState_CONTAINER_EXITED
)

// observed lists runs, the newest first.
func observed(runs ...run) *runtime.Pod {
	p := &runtime.Pod{Sandboxes: []*runtimev1.PodSandboxStatus{{Id: "s", Network: &runtimev1.PodSandboxNetworkStatus{Ip: "10.0.0.1", AdditionalIps: []*runtimev1.PodIP{{Ip: "fd00::1"}}}}}}
	for _, r := range runs {
		p.Containers = append(p.Containers, &runtime.Container{SandboxID: "s", ContainerStatus: &runtimev1.ContainerStatus{
			Id: r.name + "-id", Metadata: &runtimev1.ContainerMetadata{Name: r.name, Attempt: r.attempt}, State: r.state, ExitCode: r.code, StartedAt: 1e9, FinishedAt: 2e9,
		}})
	}
	return p
}

func compute(pod *corev1.Pod, rt *runtime.Pod, change ...func(*Input)) corev1.PodStatus {
	in := Input{Pod: pod, Runtime: rt, RuntimeName: "x", HostIPs: []string{"192.0.2.1"}, Ready: func(string) bool { return true }, Started: func(string) bool { return true }, Now: time.Unix(100, 0)}
	for _, c := range change {
		c(&in)
	}
	return Compute(in)
}

func TestPhase(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	waiting := func(in *Input) { in.Waiting = map[string]Waiting{"a": {Reason: "CrashLoopBackOff"}} }
	stopping := func(in *Input) { in.Stopping = true }
	one, two := []corev1.Container{{Name: "a"}}, []corev1.Container{{Name: "a"}, {Name: "b"}}
	for name, c := range map[string]struct {
		policy corev1.RestartPolicy
		init   []corev1.Container
		apps   []corev1.Container
		runs   []run
		change func(*Input)
		old    corev1.PodPhase
		want   corev1.PodPhase
	}{
		"nothing yet":                   {apps: one, want: corev1.PodPending},
		"running":                       {apps: one, runs: []run{{"a", 0, running, 0}}, want: corev1.PodRunning},
		"one of two not started":        {apps: two, runs: []run{{"a", 0, running, 0}}, want: corev1.PodPending},
		"crashed, to be restarted":      {apps: one, runs: []run{{"a", 0, exited, 1}}, want: corev1.PodRunning},
		"backing off":                   {apps: one, runs: []run{{"a", 0, exited, 1}}, change: waiting, want: corev1.PodRunning},
		"one done, one runs":            {policy: corev1.RestartPolicyNever, apps: two, runs: []run{{"a", 0, exited, 0}, {"b", 0, running, 0}}, want: corev1.PodRunning},
		"all done":                      {policy: corev1.RestartPolicyNever, apps: two, runs: []run{{"a", 0, exited, 0}, {"b", 0, exited, 0}}, want: corev1.PodSucceeded},
		"one failed":                    {policy: corev1.RestartPolicyNever, apps: two, runs: []run{{"a", 0, exited, 0}, {"b", 0, exited, 2}}, want: corev1.PodFailed},
		"init runs":                     {init: []corev1.Container{{Name: "i"}}, apps: one, runs: []run{{"i", 0, running, 0}}, want: corev1.PodPending},
		"init failed, again":            {init: []corev1.Container{{Name: "i"}}, apps: one, runs: []run{{"i", 0, exited, 1}}, want: corev1.PodPending},
		"init failed for good":          {policy: corev1.RestartPolicyNever, init: []corev1.Container{{Name: "i"}}, apps: one, runs: []run{{"i", 0, exited, 1}}, want: corev1.PodFailed},
		"init done":                     {init: []corev1.Container{{Name: "i"}}, apps: one, runs: []run{{"a", 0, running, 0}, {"i", 0, exited, 0}}, want: corev1.PodRunning},
		"sidecar outlives apps":         {policy: corev1.RestartPolicyNever, init: []corev1.Container{{Name: "i", RestartPolicy: &always}}, apps: one, runs: []run{{"a", 0, exited, 0}, {"i", 0, running, 0}}, want: corev1.PodRunning},
		"deleted, stopped well":         {apps: one, runs: []run{{"a", 0, exited, 0}}, change: stopping, want: corev1.PodSucceeded},
		"deleted, killed":               {apps: one, runs: []run{{"a", 0, exited, 137}}, change: stopping, want: corev1.PodFailed},
		"failed stays failed":           {apps: one, runs: []run{{"a", 0, running, 0}}, old: corev1.PodFailed, want: corev1.PodFailed},
		"verdict, still running":        {apps: one, runs: []run{{"a", 0, running, 0}}, change: func(in *Input) { in.Verdict = &Verdict{Reason: "DeadlineExceeded"} }, want: corev1.PodRunning},
		"verdict, stopped":              {apps: one, runs: []run{{"a", 0, exited, 0}}, change: func(in *Input) { in.Verdict = &Verdict{Reason: "DeadlineExceeded"} }, want: corev1.PodFailed},
		"container's own policy: never": {apps: []corev1.Container{{Name: "a", RestartPolicy: ptr(corev1.ContainerRestartPolicyNever)}}, runs: []run{{"a", 0, exited, 0}}, want: corev1.PodSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: c.policy, InitContainers: c.init, Containers: c.apps}}
			if c.policy == "" {
				pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
			}
			pod.Status.Phase = c.old
			var changes []func(*Input)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			if got := compute(pod, observed(c.runs...), changes...).Phase; got != c.want {
				t.Errorf("phase %s, want %s", got, c.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestRestartRules(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever}}
	c := &corev1.Container{Name: "a", RestartPolicyRules: []corev1.ContainerRestartRule{{
		Action: corev1.ContainerRestartRuleActionRestart, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
	}}}
	if !Restarts(pod, c, 42) || Restarts(pod, c, 41) {
		t.Error("restartPolicyRules are not followed")
	}
}

func TestContainerStates(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a", Image: "img"}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e"}}}}}
	s := compute(pod, observed(run{"a", 1, running, 0}, run{"a", 0, exited, 5}, run{"e", 0, exited, 0}), func(in *Input) {
		in.Message = func(c *runtime.Container) string { return "last words" }
	})
	a, e := s.ContainerStatuses[0], s.EphemeralContainerStatuses[0]
	if a.RestartCount != 1 || a.State.Running == nil || a.ContainerID != "x://a-id" || !a.Ready {
		t.Errorf("a: %+v", a)
	}
	if last := a.LastTerminationState.Terminated; last == nil || last.ExitCode != 5 || last.Reason != "Error" || last.Message != "last words" {
		t.Errorf("a before: %+v", last)
	}
	if e.State.Terminated == nil || e.State.Terminated.Reason != "Completed" || e.Ready || e.Started != nil {
		t.Errorf("e: %+v", e)
	}
	if s.PodIP != "10.0.0.1" || len(s.PodIPs) != 2 || s.HostIP != "192.0.2.1" {
		t.Errorf("addresses: %+v", s)
	}
	pod.Status = s
	s = compute(pod, &runtime.Pod{})
	if got := s.EphemeralContainerStatuses[0].State.Terminated; got == nil {
		t.Error("what the runtime forgot is forgotten by the status too")
	}
	if got := s.ContainerStatuses[0].State.Terminated; got == nil || got.Reason != reasonUnknown || got.ExitCode != 137 {
		t.Errorf("a vanished container: %+v", s.ContainerStatuses[0].State)
	}
}

func TestWaitingReasons(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}, EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e"}}}}}
	want := func(reason string, rt *runtime.Pod) {
		t.Helper()
		s := compute(pod, rt)
		for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
			if w := c.State.Waiting; w == nil || w.Reason != reason {
				t.Errorf("%s: %+v, not waiting for %s", c.Name, c.State, reason)
			}
		}
	}
	want("ContainerCreating", observed())
	pod.Spec.InitContainers = []corev1.Container{{Name: "i"}, {Name: "j"}}
	want("PodInitializing", observed())
	want("PodInitializing", observed(run{"i", 0, runtimev1.ContainerState_CONTAINER_CREATED, 0}))
}

// TestForgottenRuns holds that how a run ended is told although the runtime has forgotten it.
func TestForgottenRuns(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a"}}}}
	old := corev1.ContainerStatus{Name: "a", ContainerID: "x://old"}
	for name, c := range map[string]struct {
		state, last corev1.ContainerState
		want        string
	}{
		"ran":   {state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, want: reasonUnknown},
		"ended": {state: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error"}}, want: "Error"},
		"waited": {
			state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			last:  corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}}, want: "OOMKilled",
		},
	} {
		old.State, old.LastTerminationState = c.state, c.last
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{old}
		pod.Status = compute(pod, observed(run{"a", 1, running, 0}))
		pod.Status = compute(pod, observed(run{"a", 1, running, 0})) // it stays
		if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.Reason != c.want {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func TestConditions(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a"}}, ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "gate"}}}}
	s := compute(pod, observed(run{"a", 0, running, 0}))
	byType := func(s corev1.PodStatus, want corev1.PodConditionType) corev1.PodCondition {
		for _, c := range s.Conditions {
			if c.Type == want {
				return c
			}
		}
		return corev1.PodCondition{}
	}
	if c := byType(s, corev1.PodReady); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" || c.ObservedGeneration != 7 {
		t.Errorf("%+v", c)
	}
	pod.Status = s
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "gate", Status: corev1.ConditionTrue})
	later := compute(pod, observed(run{"a", 0, running, 0}), func(in *Input) { in.Now = time.Unix(200, 0) })
	if c := byType(later, corev1.PodReady); c.Status != corev1.ConditionTrue || c.LastTransitionTime.Unix() != 200 {
		t.Errorf("%+v", c)
	}
	if c := byType(later, corev1.ContainersReady); c.LastTransitionTime.Unix() != 100 {
		t.Errorf("the time of transition moved: %+v", c)
	}
	if c := byType(later, "gate"); c.Status != corev1.ConditionTrue {
		t.Errorf("another's condition is lost: %+v", c)
	}
}

// TestNewSandboxIsNotInitialized: init containers run again in it, whatever ran in the former one.
func TestNewSandboxIsNotInitialized(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "i"}}, Containers: []corev1.Container{{Name: "a"}}}}
	for sandbox, want := range map[string]corev1.ConditionStatus{"s": corev1.ConditionTrue, "former": corev1.ConditionFalse} {
		rt := observed(run{"i", 1, running, 0}, run{"a", 0, exited, 137}, run{"i", 0, exited, 0})
		rt.Containers[1].SandboxID = sandbox
		for _, c := range compute(pod, rt).Conditions {
			if c.Type == corev1.PodInitialized && c.Status != want {
				t.Errorf("with the application's run in sandbox %q: %s, want %s", sandbox, c.Status, want)
			}
		}
	}
}

func TestPatch(t *testing.T) {
	from := corev1.PodStatus{
		Phase: corev1.PodPending, Reason: "old", PodIPs: []corev1.PodIP{{IP: "1.1.1.1"}},
		Conditions: []corev1.PodCondition{{Type: "A", Status: "True"}, {Type: "B", Status: "False", Reason: "old", Message: "old", ObservedGeneration: 1}},
	}
	to := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "2.2.2.2"}},
		Conditions:        []corev1.PodCondition{{Type: "A", Status: "True"}, {Type: "B", Status: "True"}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}},
	}
	patch, err := Patch("uid", &from, &to)
	if err != nil {
		t.Fatal(err)
	}
	others := corev1.Pod{Status: from}
	others.UID = "uid"
	others.Status.Conditions = append(others.Status.Conditions, corev1.PodCondition{Type: "other", Status: "True"})
	document, _ := json.Marshal(others)
	merged, err := strategicpatch.StrategicMergePatch(document, patch, corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	var got corev1.Pod
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	to.Conditions = append(to.Conditions, corev1.PodCondition{Type: "other", Status: "True"})
	if diff := cmp.Diff(to, got.Status); diff != "" {
		t.Errorf("(-want +got):\n%s\npatch %s", diff, patch)
	}
	if patch, _ := Patch("uid", &from, &from); patch != nil {
		t.Errorf("a patch of nothing: %s", patch)
	}
}
