package replicaset

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/retry"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testSet(n int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": "a"}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "set", Namespace: "default", UID: "set-uid", Generation: 3},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}},
		},
	}
}

func start(t *testing.T, prepare func(*trial.Trial), objects ...runtime.Object) *trial.Trial {
	t.Helper()
	tr := trial.New(t, objects...)
	if prepare != nil {
		prepare(tr)
	}
	c, err := New(Config{Client: tr.Client, Recorder: tr.Events, ReplicaSets: tr.Informers.Apps().V1().ReplicaSets(), Pods: tr.Informers.Core().V1().Pods()})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	return tr
}

func pods(t *testing.T, tr *trial.Trial) []corev1.Pod {
	t.Helper()
	list, err := tr.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func status(t *testing.T, tr *trial.Trial) appsv1.ReplicaSetStatus {
	t.Helper()
	set, err := tr.Client.AppsV1().ReplicaSets("default").Get(t.Context(), "set", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set.Status
}

func update(t *testing.T, tr *trial.Trial, change func(*appsv1.ReplicaSet)) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		set, err := tr.Client.AppsV1().ReplicaSets("default").Get(t.Context(), "set", metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(set)
		_, err = tr.Client.AppsV1().ReplicaSets("default").Update(t.Context(), set, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScalesUpAndDown(t *testing.T) {
	tr := start(t, nil, testSet(5))
	trial.Eventually(t, "5 pods", func() bool { return status(t, tr).Replicas == 5 })
	for _, p := range pods(t, tr) {
		if ref := metav1.GetControllerOf(&p); ref == nil || ref.UID != "set-uid" || ref.Kind != "ReplicaSet" {
			t.Errorf("owner of %s is %v", p.Name, ref)
		}
	}
	if got := status(t, tr).ObservedGeneration; got != 3 {
		t.Errorf("observedGeneration = %d", got)
	}
	update(t, tr, func(s *appsv1.ReplicaSet) { *s.Spec.Replicas = 2 })
	trial.Eventually(t, "2 pods", func() bool { return len(pods(t, tr)) == 2 && status(t, tr).Replicas == 2 })
	if !tr.Events.Has("SuccessfulCreate Created pod: set-") || !tr.Events.Has("SuccessfulDelete Deleted pod: set-") {
		t.Error("events are missing")
	}
}

func TestReplacesAPod(t *testing.T) {
	tr := start(t, nil, testSet(1))
	trial.Eventually(t, "one pod", func() bool { return len(pods(t, tr)) == 1 })
	first := pods(t, tr)[0]
	if err := tr.Client.CoreV1().Pods("default").Delete(t.Context(), first.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "another pod", func() bool { l := pods(t, tr); return len(l) == 1 && l[0].UID != first.UID })
}

func TestAdoptsAndLetsGo(t *testing.T) {
	orphan := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orphan", Namespace: "default", UID: "orphan", Labels: map[string]string{"app": "a"}}}
	tr := start(t, nil, testSet(1), orphan)
	get := func() *corev1.Pod {
		p, err := tr.Client.CoreV1().Pods("default").Get(t.Context(), "orphan", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	trial.Eventually(t, "orphan is adopted", func() bool { return metav1.GetControllerOf(get()) != nil })
	p := get()
	p.Labels = map[string]string{"app": "other"}
	if _, err := tr.Client.CoreV1().Pods("default").Update(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "pod is let go and replaced", func() bool { return metav1.GetControllerOf(get()) == nil && len(pods(t, tr)) == 2 })
}

func TestTellsOfFailure(t *testing.T) {
	refuse := func(tr *trial.Trial) {
		tr.Client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("exceeded quota")
		})
	}
	tr := start(t, refuse, testSet(3))
	trial.Eventually(t, "condition ReplicaFailure", func() bool {
		c := status(t, tr).Conditions
		return len(c) == 1 && c[0].Type == appsv1.ReplicaSetReplicaFailure && c[0].Reason == "FailedCreate"
	})
	if !tr.Events.Has("Warning FailedCreate Error creating: exceeded quota") {
		t.Error("no event")
	}
}

func TestSurplus(t *testing.T) {
	now := time.Now()
	pod := func(name string, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}, Spec: corev1.PodSpec{NodeName: "n"}}
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}
		if change != nil {
			change(p)
		}
		return p
	}
	for name, worse := range map[string]func(*corev1.Pod){
		"unassigned":       func(p *corev1.Pod) { p.Spec.NodeName = "" },
		"pending":          func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending },
		"not ready":        func(p *corev1.Pod) { p.Status.Conditions = nil },
		"cheap to delete":  func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "-5"} },
		"ready since less": func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now) },
		"restarted":        func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}} },
		"newer":            func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now) },
	} {
		t.Run(name, func(t *testing.T) {
			got := surplus([]*corev1.Pod{pod("better", nil), pod("worse", worse)}, 1)
			if len(got) != 1 || got[0].Name != "worse" {
				t.Errorf("chose %s", got[0].Name)
			}
		})
	}
}
