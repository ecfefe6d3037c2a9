package cri

import (
	"slices"
	"testing"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestStats(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", shell("head -c 5000000 /dev/urandom >/file; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 1000"), func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}
	})
	f.logged("web", "app", "done")
	answer, err := f.ContainerStats(t.Context(), &runtimev1.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	one := answer.GetStats()
	memory := one.GetMemory()
	switch {
	case one.GetAttributes().GetId() != id, one.GetAttributes().GetMetadata().GetName() != "app", one.GetAttributes().GetLabels()["container"] != "app":
		t.Errorf("attributes %v", one.GetAttributes())
	case one.GetCpu().GetUsageCoreNanoSeconds().GetValue() == 0, one.GetCpu().GetTimestamp() == 0:
		t.Errorf("cpu %v", one.GetCpu())
	case memory.GetWorkingSetBytes().GetValue() == 0, memory.GetUsageBytes().GetValue() < memory.GetWorkingSetBytes().GetValue(),
		memory.GetAvailableBytes().GetValue()+memory.GetWorkingSetBytes().GetValue() != 64<<20:
		t.Errorf("memory %v", memory)
	case one.GetWritableLayer().GetUsedBytes().GetValue() < 5000000, one.GetWritableLayer().GetInodesUsed().GetValue() < 2, one.GetWritableLayer().GetFsId().GetMountpoint() == "":
		t.Errorf("layer %v", one.GetWritableLayer())
	}
	whole, err := f.PodSandboxStats(t.Context(), &runtimev1.PodSandboxStatsRequest{PodSandboxId: pod})
	if err != nil {
		t.Fatal(err)
	}
	linux := whole.GetStats().GetLinux()
	switch {
	case len(linux.GetContainers()) != 1, linux.GetContainers()[0].GetAttributes().GetId() != id:
		t.Errorf("containers %v", linux.GetContainers())
	case linux.GetCpu().GetUsageCoreNanoSeconds().GetValue() < one.GetCpu().GetUsageCoreNanoSeconds().GetValue():
		t.Errorf("cpu %v, of the container %v", linux.GetCpu(), one.GetCpu())
	case linux.GetMemory().GetWorkingSetBytes().GetValue() == 0, linux.GetProcess().GetProcessCount().GetValue() == 0:
		t.Errorf("memory %v, processes %v", linux.GetMemory(), linux.GetProcess())
	case linux.GetNetwork().GetDefaultInterface().GetName() != "eth0", linux.GetNetwork().GetDefaultInterface().GetTxBytes() == nil:
		t.Errorf("network %v", linux.GetNetwork())
	}
}

// TestStatsFilters: each filter takes what it says, those together what passes all; who does not run has no place in lists.
func TestStatsFilters(t *testing.T) {
	f := newFixture(t)
	web, webConfig := f.pod("web")
	db, dbConfig := f.pod("db")
	names := map[string]string{}
	labelled := func(c *runtimev1.ContainerConfig) { c.Labels["tier"] = "front" }
	names[f.run(web, webConfig, "one", labelled)] = "one"
	names[f.run(web, webConfig, "two")] = "two"
	names[f.run(db, dbConfig, "three", labelled)] = "three"
	f.create(web, webConfig, "created", labelled)
	f.exited(f.run(web, webConfig, "ended", labelled, shell("exit 0")))
	id := func(name string) string {
		for id, n := range names {
			if n == name {
				return id
			}
		}
		return ""
	}
	front := map[string]string{"tier": "front"}
	for name, c := range map[string]struct {
		filter *runtimev1.ContainerStatsFilter
		want   []string
	}{
		"none":            {nil, []string{"one", "three", "two"}},
		"empty":           {&runtimev1.ContainerStatsFilter{}, []string{"one", "three", "two"}},
		"id":              {&runtimev1.ContainerStatsFilter{Id: id("two")}, []string{"two"}},
		"beginning of id": {&runtimev1.ContainerStatsFilter{Id: id("two")[:12]}, []string{"two"}},
		"sandbox":         {&runtimev1.ContainerStatsFilter{PodSandboxId: db}, []string{"three"}},
		"labels":          {&runtimev1.ContainerStatsFilter{LabelSelector: front}, []string{"one", "three"}},
		"labels, sandbox": {&runtimev1.ContainerStatsFilter{LabelSelector: front, PodSandboxId: web}, []string{"one"}},
		"id of another":   {&runtimev1.ContainerStatsFilter{Id: id("three"), PodSandboxId: web}, nil},
		"label of nobody": {&runtimev1.ContainerStatsFilter{LabelSelector: map[string]string{"tier": "back"}}, nil},
		"id of nobody":    {&runtimev1.ContainerStatsFilter{Id: "zz"}, nil},
		"sandbox unknown": {&runtimev1.ContainerStatsFilter{PodSandboxId: "zz"}, nil},
	} {
		answer, err := f.ListContainerStats(t.Context(), &runtimev1.ListContainerStatsRequest{Filter: c.filter})
		var got []string
		for _, s := range answer.GetStats() {
			got = append(got, names[s.GetAttributes().GetId()])
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v, %v", name, got, c.want, err)
		}
	}
	for name, c := range map[string]struct {
		filter *runtimev1.PodSandboxStatsFilter
		want   int
	}{
		"none": {nil, 2}, "id": {&runtimev1.PodSandboxStatsFilter{Id: web}, 1},
		"labels": {&runtimev1.PodSandboxStatsFilter{LabelSelector: map[string]string{"pod": "db"}}, 1},
		"nobody": {&runtimev1.PodSandboxStatsFilter{Id: web, LabelSelector: map[string]string{"pod": "db"}}, 0},
	} {
		answer, err := f.ListPodSandboxStats(t.Context(), &runtimev1.ListPodSandboxStatsRequest{Filter: c.filter})
		if err != nil || len(answer.GetStats()) != c.want {
			t.Errorf("sandboxes, %s: %v, %v", name, answer, err)
		}
	}
}
