package cri

import (
	"testing"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 256, MemoryLimitInBytes: 64 << 20}
	})
	f.create(pod, config, "created")
	described, err := f.ListMetricDescriptors(t.Context(), &runtimev1.ListMetricDescriptorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]int{}
	for _, d := range described.GetDescriptors() {
		keys[d.GetName()] = len(d.GetLabelKeys())
	}
	answer, err := f.ListPodSandboxMetrics(t.Context(), &runtimev1.ListPodSandboxMetricsRequest{})
	if err != nil || len(answer.GetPodMetrics()) != 1 {
		t.Fatal(answer, err)
	}
	measured := answer.GetPodMetrics()[0]
	if list := measured.GetContainerMetrics(); len(list) != 1 || list[0].GetContainerId() != id {
		t.Fatalf("containers %v", list)
	}
	values := map[string]uint64{}
	for _, m := range append(measured.GetMetrics(), measured.GetContainerMetrics()[0].GetMetrics()...) {
		if n, known := keys[m.GetName()]; !known || n != len(m.GetLabelValues()) {
			t.Errorf("%s: %d labels, described with %d", m.GetName(), len(m.GetLabelValues()), n)
		}
		values[m.GetName()] = m.GetValue().GetValue()
	}
	if len(values) != len(keys) {
		t.Errorf("%d of %d metrics", len(values), len(keys))
	}
	for name, want := range map[string]uint64{
		"container_processes": 1, "container_threads": 1, "container_sockets": 0, "container_spec_cpu_shares": 256,
		"container_spec_cpu_quota": 50000, "container_spec_memory_limit_bytes": 64 << 20, "container_file_descriptors": 3,
	} {
		if values[name] != want {
			t.Errorf("%s is %d, want %d", name, values[name], want)
		}
	}
	for _, name := range []string{"container_memory_usage_bytes", "container_start_time_seconds", "container_fs_limit_bytes", "container_memory_max_usage_bytes"} {
		if values[name] == 0 {
			t.Errorf("%s is 0", name)
		}
	}
}
