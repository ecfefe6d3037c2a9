package apiserver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// report adds the median and the 99th percentile of what each call took.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func benchPod(name string) *corev1.Pod {
	automount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &automount,
			Containers:                   []corev1.Container{{Name: "app", Image: "busybox"}},
		},
	}
}

func benchServer(b *testing.B) *kubernetes.Clientset {
	i := start(b)
	set := clientset(b, i.Admin())
	makeDefaultAccount(b, set, "default")
	return set
}

// makeDefaultAccount does what the service-account controller does elsewhere.
func makeDefaultAccount(t testing.TB, set *kubernetes.Clientset, namespace string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := set.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkCreatePod(b *testing.B) {
	pods := benchServer(b).CoreV1().Pods("default")
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		begin := time.Now()
		if _, err := pods.Create(b.Context(), benchPod(fmt.Sprintf("p%d", n)), metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}

func BenchmarkPatchEphemeralContainers(b *testing.B) {
	pods := benchServer(b).CoreV1().Pods("default")
	patch := []byte(`{"spec":{"ephemeralContainers":[{"name":"dbg","image":"busybox"}]}}`)
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		name := fmt.Sprintf("p%d", n)
		if _, err := pods.Create(b.Context(), benchPod(name), metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if _, err := pods.Patch(b.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}

func BenchmarkColdStart(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		dir := b.TempDir()
		begin := time.Now()
		i := launch(b, dir, nil)
		took = append(took, time.Since(begin))
		i.Stop()
	}
	report(b, took)
}
