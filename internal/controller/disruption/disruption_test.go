package disruption

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testPod(name string, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Labels: map[string]string{"app": "a"}}}
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(testSet(), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func testSet() *appsv1.ReplicaSet {
	n := int32(4)
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "set", Namespace: "default", UID: "set"}, Spec: appsv1.ReplicaSetSpec{Replicas: &n}}
}

func TestStatus(t *testing.T) {
	number := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }
	percent := func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	type status struct{ allowed, healthy, desired, expected int32 }
	for name, test := range map[string]struct {
		spec   policyv1.PodDisruptionBudgetSpec
		change func(*policyv1.PodDisruptionBudget)
		want   status
	}{
		"min number":  {spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: number(2)}, want: status{1, 3, 2, 4}},
		"min percent": {spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: percent("75%")}, want: status{0, 3, 3, 4}},
		"max number":  {spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: number(2)}, want: status{1, 3, 2, 4}},
		"max percent": {spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: percent("100%")}, want: status{3, 3, 0, 4}},
		"eviction under way": {
			spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: number(2)},
			change: func(b *policyv1.PodDisruptionBudget) {
				b.Status.DisruptedPods = map[string]metav1.Time{"a": metav1.Now(), "long gone": metav1.Now()}
			},
			want: status{0, 2, 2, 4},
		},
		"eviction that never came": {
			spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: number(2)},
			change: func(b *policyv1.PodDisruptionBudget) {
				b.Status.DisruptedPods = map[string]metav1.Time{"a": metav1.NewTime(time.Now().Add(-time.Hour))}
			},
			want: status{1, 3, 2, 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default", Generation: 7}, Spec: test.spec}
			b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}
			if test.change != nil {
				test.change(b)
			}
			objects := []runtime.Object{b, testSet(), testPod("a", true), testPod("b", true), testPod("c", true), testPod("d", false)}
			tr := trial.New(t, objects...)
			apps := tr.Informers.Apps().V1()
			c, err := New(Config{
				Client: tr.Client, Recorder: tr.Events, Budgets: tr.Informers.Policy().V1().PodDisruptionBudgets(),
				Pods: tr.Informers.Core().V1().Pods(), ReplicaSets: apps.ReplicaSets().Lister(), Deployments: apps.Deployments().Lister(),
			})
			if err != nil {
				t.Fatal(err)
			}
			tr.Run(t, c.Run)
			var got status
			trial.Eventually(t, "status is written", func() bool {
				b, err := tr.Client.PolicyV1().PodDisruptionBudgets("default").Get(t.Context(), "b", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				got = status{b.Status.DisruptionsAllowed, b.Status.CurrentHealthy, b.Status.DesiredHealthy, b.Status.ExpectedPods}
				return b.Status.ObservedGeneration == 7 && len(b.Status.Conditions) == 1
			})
			if got != test.want {
				t.Errorf("status = %+v, want %+v", got, test.want)
			}
		})
	}
}
