package nodelife

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testNode(name string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
	}
}

func start(t *testing.T, change func(*Controller), objects ...runtime.Object) *trial.Trial {
	t.Helper()
	tr := trial.New(t, objects...)
	core := tr.Informers.Core().V1()
	c, err := New(Config{
		Client: tr.Client, Recorder: tr.Events, Nodes: core.Nodes(), Pods: core.Pods(),
		Leases: tr.Informers.Coordination().V1().Leases(), OwnNode: "own",
	})
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	tr.Run(t, c.Run)
	return tr
}

// long makes every node silent for hours.
func long(c *Controller) {
	c.now = func() time.Time { return time.Now().Add(time.Hour) }
	for _, name := range []string{"own", "other"} {
		c.seen[name] = time.Now()
	}
}

func nodeOf(t *testing.T, tr *trial.Trial, name string) *corev1.Node {
	t.Helper()
	node, err := tr.Client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func TestSilentNodeIsGivenUp(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "p"},
		Spec:       corev1.PodSpec{NodeName: "other"},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	tr := start(t, long, testNode("own", corev1.ConditionTrue), testNode("other", corev1.ConditionTrue), pod)
	trial.Eventually(t, "taints", func() bool {
		var got []string
		for _, taint := range nodeOf(t, tr, "other").Spec.Taints {
			got = append(got, taint.Key+":"+string(taint.Effect))
		}
		return cmp.Equal(got, []string{"node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"})
	})
	if status, _ := readiness(nodeOf(t, tr, "other")); status != corev1.ConditionUnknown {
		t.Errorf("Ready = %s", status)
	}
	trial.Eventually(t, "pod is not ready", func() bool {
		p, err := tr.Client.CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{})
		return err == nil && p.Status.Conditions[0].Status == corev1.ConditionFalse
	})
	if status, _ := readiness(nodeOf(t, tr, "own")); status != corev1.ConditionTrue {
		t.Errorf("own node was given up: Ready = %s", status)
	}
}

func TestOnlyNodeEvictsNobody(t *testing.T) {
	tr := start(t, func(*Controller) {}, testNode("other", corev1.ConditionFalse))
	trial.Eventually(t, "taint NoSchedule alone", func() bool {
		taints := nodeOf(t, tr, "other").Spec.Taints
		return len(taints) == 1 && taints[0].Key == corev1.TaintNodeNotReady && taints[0].Effect == corev1.TaintEffectNoSchedule
	})
}

func TestTaintsComeAndGo(t *testing.T) {
	cordoned := testNode("other", corev1.ConditionTrue)
	cordoned.Spec.Unschedulable = true
	cordoned.Spec.Taints = []corev1.Taint{
		{Key: "mine", Effect: corev1.TaintEffectNoSchedule}, {Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule},
	}
	tr := start(t, func(*Controller) {}, cordoned)
	trial.Eventually(t, "taints", func() bool {
		taints := nodeOf(t, tr, "other").Spec.Taints
		return len(taints) == 2 && taints[0].Key == "mine" && taints[1].Key == corev1.TaintNodeUnschedulable
	})
}

func TestEvictsWhatDoesNotTolerate(t *testing.T) {
	node := testNode("other", corev1.ConditionTrue)
	node.Spec.Taints = []corev1.Taint{{Key: "fire", Effect: corev1.TaintEffectNoExecute}}
	pod := func(name string, tolerations ...corev1.Toleration) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: "uid"},
			Spec:       corev1.PodSpec{NodeName: "other", Tolerations: tolerations},
		}
	}
	tr := start(t, func(*Controller) {}, node, pod("goes"), pod("stays", corev1.Toleration{Key: "fire", Operator: corev1.TolerationOpExists}))
	exists := func(name string) bool {
		_, err := tr.Client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	}
	trial.Eventually(t, "pod is evicted", func() bool { return !exists("goes") })
	if !exists("stays") || !tr.Events.Has("TaintManagerEviction Marking for deletion Pod default/goes") {
		t.Error("the wrong pod was evicted, or without an event")
	}
}

func TestTolerated(t *testing.T) {
	now := time.Now()
	added := metav1.NewTime(now.Add(-10 * time.Second))
	unreachable := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &added}
	other := corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoExecute, TimeAdded: &added}
	seconds := func(n int64) *int64 { return &n }
	exists := func(key string, s *int64) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, TolerationSeconds: s}
	}
	for name, test := range map[string]struct {
		tolerations []corev1.Toleration
		taints      []corev1.Taint
		left        time.Duration
		forever     bool
	}{
		"no taint":           {forever: true},
		"untolerated":        {taints: []corev1.Taint{other}, left: -10 * time.Second},
		"forever":            {tolerations: []corev1.Toleration{exists("k", nil)}, taints: []corev1.Taint{other}, forever: true},
		"for a while":        {tolerations: []corev1.Toleration{exists("k", seconds(30))}, taints: []corev1.Taint{other}, left: 20 * time.Second},
		"shortest counts":    {tolerations: []corev1.Toleration{exists("", nil), exists("k", seconds(30))}, taints: []corev1.Taint{other}, left: 20 * time.Second},
		"default":            {taints: []corev1.Taint{unreachable}, left: 290 * time.Second},
		"worst taint counts": {tolerations: []corev1.Toleration{exists("k", seconds(30))}, taints: []corev1.Taint{unreachable, other}, left: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: test.tolerations}}
			left, forever := tolerated(pod, test.taints, now)
			if forever != test.forever || !forever && left.Round(time.Second) != test.left {
				t.Errorf("tolerated = %v, %v, want %v, %v", left, forever, test.left, test.forever)
			}
		})
	}
}
