package podgc

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func build(t *testing.T, objects ...runtime.Object) (*trial.Trial, *Controller) {
	t.Helper()
	tr := trial.New(t, objects...)
	core := tr.Informers.Core().V1()
	c, err := New(Config{Client: tr.Client, Pods: core.Pods(), Nodes: core.Nodes()})
	if err != nil {
		t.Fatal(err)
	}
	c.quarantine = time.Millisecond
	return tr, c
}

func testPod(name, node string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase},
	}
}

func names(t *testing.T, tr *trial.Trial) map[string]bool {
	t.Helper()
	list, err := tr.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, p := range list.Items {
		found[p.Name] = true
	}
	return found
}

func TestRemovesPodsOfMissingNodes(t *testing.T) {
	tr, c := build(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}},
		testPod("kept", "here", corev1.PodRunning), testPod("lost", "gone", corev1.PodRunning), testPod("waits", "", corev1.PodPending))
	tr.Run(t, c.Run)
	trial.Eventually(t, "lost pod is removed", func() bool { return !names(t, tr)["lost"] })
	if err := tr.Client.CoreV1().Nodes().Delete(t.Context(), "here", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "pod of the deleted node is removed", func() bool { return !names(t, tr)["kept"] })
	if !names(t, tr)["waits"] {
		t.Error("a pod that waits for a node was removed")
	}
}

func TestRemovesTheOldestEnded(t *testing.T) {
	var objects []runtime.Object
	for i := range 5 {
		p := testPod(fmt.Sprintf("p%d", i), "n", corev1.PodSucceeded)
		p.CreationTimestamp = metav1.NewTime(time.Unix(int64(1000+i), 0))
		objects = append(objects, p)
	}
	tr, c := build(t, append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})...)
	c.mostEnded = 2
	tr.Run(t, c.Run)
	if err := c.removeEnded(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := names(t, tr)
	if len(got) != 2 || !got["p3"] || !got["p4"] {
		t.Errorf("left are %v", got)
	}
}
