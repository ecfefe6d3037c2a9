package quota

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func testPod(name string, phase corev1.PodPhase, cpu string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Status: corev1.PodStatus{Phase: phase}}
	c := corev1.Container{Name: "c"}
	if cpu != "" {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	p.Spec.Containers = []corev1.Container{c}
	return p
}

func TestUsage(t *testing.T) {
	hard := func(names ...corev1.ResourceName) corev1.ResourceList {
		list := corev1.ResourceList{}
		for _, n := range names {
			list[n] = resource.MustParse("10")
		}
		return list
	}
	for name, test := range map[string]struct {
		spec corev1.ResourceQuotaSpec
		want map[corev1.ResourceName]string
	}{
		"pods and cpu": {
			spec: corev1.ResourceQuotaSpec{Hard: hard("pods", "count/pods", "requests.cpu", "cpu", "limits.cpu", "requests.memory", "configmaps")},
			want: map[corev1.ResourceName]string{"pods": "2", "count/pods": "3", "requests.cpu": "1", "cpu": "1", "limits.cpu": "1", "requests.memory": "0", "configmaps": "1"},
		},
		"best effort": {
			spec: corev1.ResourceQuotaSpec{Hard: hard("pods"), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}},
			want: map[corev1.ResourceName]string{"pods": "1"},
		},
		"priority class": {
			spec: corev1.ResourceQuotaSpec{Hard: hard("pods"), ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
				{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"high"}},
			}}},
			want: map[corev1.ResourceName]string{"pods": "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q", Namespace: "default"}, Spec: test.spec}
			important := testPod("b", corev1.PodPending, "1")
			important.Spec.PriorityClassName = "high"
			tr := trial.New(t, q, testPod("a", corev1.PodRunning, ""), important, testPod("c", corev1.PodSucceeded, "5"))
			scheme := metadatafake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			content := metadatafake.NewSimpleMetadataClient(scheme, &metav1.PartialObjectMetadata{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: "default"},
			})
			core := tr.Informers.Core().V1()
			c, err := New(Config{Client: tr.Client, Metadata: content, Quotas: core.ResourceQuotas(), Pods: core.Pods()})
			if err != nil {
				t.Fatal(err)
			}
			tr.Run(t, c.Run)
			var got corev1.ResourceList
			trial.Eventually(t, "status is written", func() bool {
				q, err := tr.Client.CoreV1().ResourceQuotas("default").Get(t.Context(), "q", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				got = q.Status.Used
				return len(q.Status.Hard) == len(test.spec.Hard)
			})
			for name, want := range test.want {
				if q := got[name]; q.String() != want {
					t.Errorf("%s = %s, want %s", name, q.String(), want)
				}
			}
		})
	}
}

// TestAdmissionCounts: what admission counts in a quota's status is no reason to count again.
func TestAdmissionCounts(t *testing.T) {
	list := func(n string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourcePods: resource.MustParse(n)}
	}
	counted := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: list("2")}, Status: corev1.ResourceQuotaStatus{Hard: list("2"), Used: list("0")}}
	admitted, raised, fresh := counted.DeepCopy(), counted.DeepCopy(), counted.DeepCopy()
	admitted.Status.Used = list("1")
	raised.Spec.Hard = list("3")
	fresh.Status = corev1.ResourceQuotaStatus{}
	for name, c := range map[string]struct {
		q    *corev1.ResourceQuota
		want bool
	}{"admitted": {admitted, false}, "raised": {raised, true}, "never counted": {fresh, true}} {
		if got := asksForCount(counted, c.q); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
