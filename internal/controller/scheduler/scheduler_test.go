package scheduler

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testNode(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("3"),
			},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func testPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Labels: map[string]string{"app": "a"}},
		Spec:       corev1.PodSpec{SchedulerName: corev1.DefaultSchedulerName, Containers: []corev1.Container{{Name: "c"}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func onNode(name string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = name } }

func asking(list corev1.ResourceList) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list }
}

func withPort(port int32, ip string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: port, ContainerPort: port, HostIP: ip}}
	}
}

func apartFrom(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms1(app)}}
	}
}

func nearTo(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms1(app)}}
	}
}

func terms1(app string) []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{
		TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}
}

func TestPlace(t *testing.T) {
	tainted := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}}
	}
	notReady := func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	for name, test := range map[string]struct {
		nodes []*corev1.Node
		bound []*corev1.Pod
		pod   *corev1.Pod
		node  string
		why   string
	}{
		"no nodes": {pod: testPod("p"), why: "no nodes available to schedule pods"},
		"fits":     {nodes: []*corev1.Node{testNode("n")}, pod: testPod("p"), node: "n"},
		"emptier of two": {
			nodes: []*corev1.Node{testNode("a"), testNode("b")}, bound: []*corev1.Pod{testPod("x", onNode("a"))}, pod: testPod("p"), node: "b",
		},
		"cpu": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"), asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}))},
			pod: testPod("p", asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("600m")})), why: "0/1 nodes are available: 1 Insufficient cpu.",
		},
		"two reasons": {
			nodes: []*corev1.Node{testNode("n")},
			pod:   testPod("p", asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3"), "example.com/gpu": resource.MustParse("1")})),
			why:   "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com/gpu.",
		},
		"ended pods take nothing": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"), asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}),
				func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })},
			pod: testPod("p", asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")})), node: "n",
		},
		"too many pods": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n")), testPod("y", onNode("n")), testPod("z", onNode("n"))},
			pod: testPod("p"), why: "0/1 nodes are available: 1 Too many pods.",
		},
		"node selector": {
			nodes: []*corev1.Node{testNode("a"), testNode("b")}, pod: testPod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			why: "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
		},
		"taint": {nodes: []*corev1.Node{testNode("n", tainted)}, pod: testPod("p"), why: "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}."},
		"tolerated taint": {
			nodes: []*corev1.Node{testNode("n", tainted)}, pod: testPod("p", func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }), node: "n",
		},
		"not ready": {nodes: []*corev1.Node{testNode("n", notReady)}, pod: testPod("p"), why: "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."},
		"cordoned":  {nodes: []*corev1.Node{testNode("n", cordoned)}, pod: testPod("p"), why: "0/1 nodes are available: 1 node(s) were unschedulable."},
		"port taken": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"), withPort(80, ""))}, pod: testPod("p", withPort(80, "127.0.0.1")),
			why: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
		},
		"port of another address": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"), withPort(80, "10.0.0.1"))}, pod: testPod("p", withPort(80, "127.0.0.1")), node: "n",
		},
		"anti-affinity": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"))}, pod: testPod("p", apartFrom("a")),
			why: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
		},
		"anti-affinity of the other": {
			nodes: []*corev1.Node{testNode("n")}, bound: []*corev1.Pod{testPod("x", onNode("n"), apartFrom("a"))}, pod: testPod("p"),
			why: "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
		},
		"affinity": {
			nodes: []*corev1.Node{testNode("n"), testNode("m")}, bound: []*corev1.Pod{testPod("x", onNode("n"), func(p *corev1.Pod) { p.Labels["app"] = "b" })}, pod: testPod("p", nearTo("b")), node: "n",
		},
		"affinity to nobody":   {nodes: []*corev1.Node{testNode("n")}, pod: testPod("p", nearTo("b")), why: "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."},
		"affinity to its kind": {nodes: []*corev1.Node{testNode("n")}, pod: testPod("p", nearTo("a")), node: "n"},
		"spread": {
			nodes: []*corev1.Node{testNode("a"), testNode("b", cordoned)}, bound: []*corev1.Pod{testPod("x", onNode("a"))},
			pod: testPod("p", func(p *corev1.Pod) {
				p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}},
				}}
			}),
			why: "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable.",
		},
		"volume claim": {
			nodes: []*corev1.Node{testNode("n")}, pod: testPod("p", func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "d"}}}}
			}),
			why: `0/1 nodes are available: persistentvolumeclaim "d" not found: volume "data" asks for persistent storage, which Mayfly does not have.`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{namespaceLabels: func(string) labels.Set { return nil }}
			for _, n := range test.nodes {
				var bound []*corev1.Pod
				for _, p := range test.bound {
					if p.Spec.NodeName == n.Name {
						bound = append(bound, p)
					}
				}
				c.nodes = append(c.nodes, newPlace(n, bound, nil))
			}
			node, verdict := c.place(test.pod)
			if node != test.node {
				t.Errorf("node = %q, want %q", node, test.node)
			}
			if node == "" && verdict.message() != test.why {
				t.Errorf("message = %q\nwant      %q", verdict.message(), test.why)
			}
		})
	}
}

func start(t *testing.T, objects ...runtime.Object) *trial.Trial {
	t.Helper()
	tr := trial.New(t, objects...)
	core := tr.Informers.Core().V1()
	s, err := New(Config{Client: tr.Client, Recorder: tr.Events, Pods: core.Pods(), Nodes: core.Nodes(), Namespaces: core.Namespaces()})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, s.Run)
	return tr
}

func nodeNameOf(t *testing.T, tr *trial.Trial, pod string) string {
	t.Helper()
	p, err := tr.Client.CoreV1().Pods("default").Get(context.Background(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Spec.NodeName
}

func TestBindsAtOnce(t *testing.T) {
	tr := start(t, testNode("n"))
	if _, err := tr.Client.CoreV1().Pods("default").Create(t.Context(), testPod("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "pod is bound", func() bool { return nodeNameOf(t, tr, "p") == "n" })
	trial.Eventually(t, "event", func() bool { return tr.Events.Has("Normal Scheduled Successfully assigned default/p to n") })
}

func TestLeavesOthersPodsAlone(t *testing.T) {
	tr := start(t, testNode("n"),
		testPod("theirs", func(p *corev1.Pod) { p.Spec.SchedulerName = "theirs" }),
		testPod("gated", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "wait"}} }),
		testPod("mine"))
	trial.Eventually(t, "mine is bound", func() bool { return nodeNameOf(t, tr, "mine") == "n" })
	for _, name := range []string{"theirs", "gated"} {
		if got := nodeNameOf(t, tr, name); got != "" {
			t.Errorf("%s is bound to %s", name, got)
		}
	}
	gated := testPod("gated")
	if _, err := tr.Client.CoreV1().Pods("default").Update(t.Context(), gated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "gated is bound once its gate is gone", func() bool { return nodeNameOf(t, tr, "gated") == "n" })
}

func TestTellsWhyAndTriesAgain(t *testing.T) {
	big := asking(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")})
	tr := start(t, testNode("n"), testPod("first", big, onNode("n")), testPod("second", big))
	const why = "0/1 nodes are available: 1 Insufficient cpu."
	trial.Eventually(t, "condition", func() bool {
		p, err := tr.Client.CoreV1().Pods("default").Get(t.Context(), "second", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				return c.Status == corev1.ConditionFalse && c.Reason == "Unschedulable" && c.Message == why
			}
		}
		return false
	})
	if !tr.Events.Has("Warning FailedScheduling " + why) {
		t.Error("no event FailedScheduling")
	}
	if err := tr.Client.CoreV1().Pods("default").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "second is bound when first is gone", func() bool { return nodeNameOf(t, tr, "second") == "n" })
}

func TestWaitsForANode(t *testing.T) {
	tr := start(t, testPod("p"))
	trial.Eventually(t, "event", func() bool { return tr.Events.Has("no nodes available to schedule pods") })
	if _, err := tr.Client.CoreV1().Nodes().Create(t.Context(), testNode("n"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "pod is bound", func() bool { return nodeNameOf(t, tr, "p") == "n" })
}
