package cri

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// capabilitySet reads a line of a status file in procfs.
func capabilitySet(t *testing.T, path, key string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %s", key, path)
	return ""
}

// limit reads a limit of a container from the kernel, under its name in cgroup v1 or v2.
func (f *fixture) limit(id, v1, v2 string) string {
	f.Helper()
	answer, err := f.ContainerStatus(f.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		f.Fatal(err)
	}
	c, err := f.server.containers.Get(answer.GetStatus().GetId())
	if err != nil {
		f.Fatal(err)
	}
	box, err := f.server.sandboxes.Get(c.SandboxID())
	if err != nil {
		f.Fatal(err)
	}
	group, err := f.server.cgroups.Group(box.CgroupParent() + "/" + c.ID)
	if err != nil {
		f.Fatal(err)
	}
	return inGroup(f, group.Dirs(), v1, v2)
}

func inGroup(t testing.TB, dirs []string, v1, v2 string) string {
	t.Helper()
	for _, dir := range dirs {
		for _, name := range []string{v1, v2} {
			if content, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				return strings.TrimSpace(string(content))
			}
		}
	}
	t.Fatalf("neither %s nor %s in %v", v1, v2, dirs)
	return ""
}

func TestUpdateResources(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	limited := func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 512, MemoryLimitInBytes: 64 << 20}
	}
	update := func(id string, r *runtimev1.LinuxContainerResources) error {
		_, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: r})
		return err
	}
	memory := func(id string) string { return f.limit(id, "memory.limit_in_bytes", "memory.max") }
	quota := func(id string) string {
		value, _, _ := strings.Cut(f.limit(id, "cpu.cfs_quota_us", "cpu.max"), " ")
		return value
	}
	running, created := f.run(pod, config, "running", limited), f.create(pod, config, "created", limited)
	for _, id := range []string{running, created} {
		if err := update(id, &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 96 << 20, CpuQuota: 20000}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: created}); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		for _, id := range []string{running, created} {
			if memory(id) != "100663296" || quota(id) != "20000" {
				t.Errorf("%s: memory %s, quota %s", when, memory(id), quota(id))
			}
			linux := f.status(id).GetResources().GetLinux()
			if linux.GetMemoryLimitInBytes() != 96<<20 || linux.GetCpuQuota() != 20000 || linux.GetCpuPeriod() != 100000 || linux.GetCpuShares() != 512 {
				t.Errorf("%s: status %v", when, linux)
			}
			f.exec(id, "sh", "-c", ": >/dev/null") // devices are as before
		}
	}
	check("updated")
	// What the kernel refuses is neither set nor remembered.
	if err := update(running, &runtimev1.LinuxContainerResources{CpusetCpus: "4095"}); err == nil {
		t.Error("a processor that is not there was taken")
	}
	check("refused")
	f.restart()
	check("after a restart")
	if err := update(running, nil); status.Code(err) != codes.InvalidArgument {
		t.Errorf("nothing to update: %v", err)
	}
	if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: running}); err != nil {
		t.Fatal(err)
	}
	if err := update(running, &runtimev1.LinuxContainerResources{CpuQuota: 30000}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("update of one that has ended: %v", err)
	}
}
