package cri

import (
	"fmt"
	"slices"
	"testing"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// percentiles reports the median and the 99th of what was measured, in milliseconds.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("ms/p%d", p))
	}
}

func BenchmarkCreateAndStart(b *testing.B) {
	f := newFixture(b)
	pod, config := f.pod("web")
	var took []time.Duration
	n := 0
	for b.Loop() {
		n++
		begin := time.Now()
		id := f.run(pod, config, fmt.Sprint("c", n))
		took = append(took, time.Since(begin))
		b.StopTimer()
		if _, err := f.RemoveContainer(b.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	percentiles(b, took)
}

func BenchmarkExecSync(b *testing.B) {
	f := newFixture(b)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		f.exec(id, "true")
		took = append(took, time.Since(begin))
	}
	percentiles(b, took)
}

func BenchmarkSandbox(b *testing.B) {
	f := newFixture(b)
	var took []time.Duration
	n := 0
	for b.Loop() {
		n++
		begin := time.Now()
		pod, _ := f.pod(fmt.Sprint("p", n))
		took = append(took, time.Since(begin))
		b.StopTimer()
		if _, err := f.RemovePodSandbox(b.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	percentiles(b, took)
}
