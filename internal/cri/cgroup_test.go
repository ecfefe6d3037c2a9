package cri

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/systemd"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// unified skips a test that needs a machine with cgroup v2 alone: hack/vm.sh ./internal/cri.
func unified(t *testing.T) {
	t.Helper()
	host, err := cgroup.Open()
	if err != nil {
		t.Fatal(err)
	}
	if !host.Unified() {
		t.Skip("NOT TESTED on this machine, which has cgroup v1: run `hack/vm.sh ./internal/cri`")
	}
}

// cgroupOf is the cgroup of a process, on a machine with cgroup v2 alone.
func cgroupOf(t *testing.T, pid string) string {
	t.Helper()
	content, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(content)), "0::")
}

// pid is a container's first process.
func (f *fixture) pid(id string) string {
	f.Helper()
	c, err := f.server.containers.Get(id)
	if err != nil {
		f.Fatal(err)
	}
	return fmt.Sprint(c.PID())
}

func TestUnifiedLimits(t *testing.T) {
	unified(t)
	f := newFixture(t)
	parent := "/mayfly-" + f.cfg.InstanceID + "/kubepods/burstable/pod1"
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) { c.Linux.CgroupParent = parent })
	id := f.run(pod, config, "c", func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{
			CpuPeriod: 50000, CpuQuota: 25000, CpuShares: 512, CpusetCpus: "0", MemoryLimitInBytes: 64 << 20,
			HugepageLimits: []*runtimev1.HugepageLimit{{PageSize: "2MB", Limit: 4 << 20}},
			Unified:        map[string]string{"memory.high": "50331648", "pids.max": "77"},
		}
	})
	if got, want := cgroupOf(t, f.pid(id)), parent+"/"+id; got != want {
		t.Errorf("it is in %s, want %s", got, want)
	}
	want := map[string]string{
		"cpu.max": "25000 50000", "cpu.weight": "20", "cpuset.cpus": "0", "memory.max": "67108864", "memory.high": "50331648",
		"pids.max": "77", "hugetlb.2MB.max": "4194304", "memory.oom.group": "0",
	}
	for file, value := range want {
		if got := f.limit(id, file, file); got != value {
			t.Errorf("%s is %q, want %q", file, got, value)
		}
	}
	if got := f.exec(id, "cat", "/proc/self/cgroup"); got != "0::/" {
		t.Errorf("it sees itself in %q", got)
	}
	if got := f.exec(id, "cat", "/sys/fs/cgroup/pids.max"); got != "77" {
		t.Errorf("it sees pids.max %q", got)
	}
	answer, err := f.ContainerStats(t.Context(), &runtimev1.ContainerStatsRequest{ContainerId: id})
	if s := answer.GetStats(); err != nil || s.GetMemory().GetUsageBytes().GetValue() == 0 || s.GetCpu().GetUsageCoreNanoSeconds().GetValue() == 0 {
		t.Errorf("stats %v, %v", s, err)
	}
}

// TestUnifiedOOM has one container killed for its own limit while its neighbour runs on.
func TestUnifiedOOM(t *testing.T) {
	unified(t)
	f := newFixture(t)
	pod, config := f.pod("web")
	quiet := f.run(pod, config, "quiet")
	hog := f.run(pod, config, "hog", shell("x=a; while :; do x=$x$x; done"), func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 16 << 20, OomScoreAdj: 1000}
	})
	if s := f.exited(hog); s.GetReason() != "OOMKilled" || s.GetExitCode() != 137 {
		t.Errorf("it ended with %s, %d", s.GetReason(), s.GetExitCode())
	}
	if s := f.status(quiet); s.GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Errorf("its neighbour is %s", s.GetState())
	}
}

// TestSystemdDriver needs systemd as the machine's first process: hack/vm.sh -i systemd ./internal/cri.
func TestSystemdDriver(t *testing.T) {
	if _, err := systemd.Open(); err != nil {
		t.Skip("NOT TESTED on this machine: ", err)
	}
	unified(t)
	f := newFixture(t, func(c *Config) { c.SystemdCgroups = true })
	answer, err := f.RuntimeConfig(t.Context(), &runtimev1.RuntimeConfigRequest{})
	if err != nil || answer.GetLinux().GetCgroupDriver() != runtimev1.CgroupDriver_SYSTEMD {
		t.Errorf("driver %v, %v", answer, err)
	}
	pods := "mayfly-" + f.cfg.InstanceID
	slice := pods + "-pod1.slice"
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) {
		c.Linux.CgroupParent = slice
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
	})
	scope := "/mayfly.slice/" + pods + ".slice/" + slice + "/mayfly-" + pod + ".scope"
	id := f.run(pod, config, "c", func(c *runtimev1.ContainerConfig) {
		c.Linux.Resources = &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}
	})
	box, err := f.server.sandboxes.Get(pod)
	if err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[string]string{f.pid(id): scope + "/" + id, fmt.Sprint(box.Monitor().PID()): scope + "/monitor"} {
		if got := cgroupOf(t, pid); got != want {
			t.Errorf("process %s is in %s, want %s", pid, got, want)
		}
	}
	if got := f.limit(id, "memory.max", "memory.max"); got != "67108864" {
		t.Errorf("memory.max is %s", got)
	}
	f.restart()
	f.exec(id, "true")
	own, _ := f.pod("own")
	if box, err := f.server.sandboxes.Get(own); err != nil || box.CgroupParent() != "/mayfly.slice/"+pods+".slice/mayfly-"+own+".scope" {
		t.Errorf("a Pod of no slice is in %s, %v", box.CgroupParent(), err)
	}
	_, err = f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{Config: &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: "bad", Uid: "bad"}, Linux: &runtimev1.LinuxPodSandboxConfig{CgroupParent: "/kubepods/pod1"},
	}})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "name of a slice") {
		t.Errorf("a parent that is no slice: %v", err)
	}
	if _, err := f.StopPodSandbox(t.Context(), &runtimev1.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Fatal(err)
	}
	f.gone(filepath.Dir(scope))
}

// TestPodCgroup limits what is above sandboxes, and has the kernel enforce it over all containers there. It needs nothing
// else, and so runs on every kind of machine: with hack/vm.sh -i systemd for the systemd driver as well.
func TestPodCgroup(t *testing.T) {
	drivers := []bool{false}
	if _, err := systemd.Open(); err == nil {
		drivers = append(drivers, true)
	}
	for _, bySystemd := range drivers {
		t.Run(fmt.Sprintf("systemd=%t", bySystemd), func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.SystemdCgroups = bySystemd })
			parent := "/mayfly-" + f.cfg.InstanceID + "/kubepods/pod1"
			if bySystemd {
				parent = "mayfly-" + f.cfg.InstanceID + "-kubepods-pod1.slice"
			}
			limits := &runtimev1.LinuxContainerResources{
				CpuPeriod: 100_000, CpuQuota: 50_000, CpuShares: 512, MemoryLimitInBytes: 48 << 20, Unified: map[string]string{"pids.max": "33"},
			}
			for range 2 { // the second time, it is there
				if err := f.server.LimitCgroup(t.Context(), parent, limits); err != nil {
					t.Fatal(err)
				}
			}
			pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) { c.Linux.CgroupParent = parent })
			quiet := f.run(pod, config, "quiet")
			hog := f.run(pod, config, "hog", shell("x=a; while :; do x=$x$x; done"), func(c *runtimev1.ContainerConfig) {
				c.Linux.Resources = &runtimev1.LinuxContainerResources{OomScoreAdj: 1000}
			})
			if s := f.exited(hog); s.GetReason() != "OOMKilled" {
				t.Errorf("what takes more than the Pod has ended with %s, %d", s.GetReason(), s.GetExitCode())
			}
			f.exec(quiet, "true")
			if err := f.server.LimitCgroup(t.Context(), parent, &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 96 << 20}); err != nil {
				t.Error(err)
			}
			group, err := f.server.cgroups.Group("/" + strings.TrimPrefix(parent, "/"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range [][3]string{
				{"memory.limit_in_bytes", "memory.max", "100663296"}, {"pids.max", "pids.max", "33"}, {"cpu.shares", "cpu.weight", map[bool]string{true: "20", false: "512"}[f.server.cgroups.Unified()]},
				{"cpu.cfs_quota_us", "cpu.max", map[bool]string{true: "50000 100000", false: "50000"}[f.server.cgroups.Unified()]},
			} {
				if got := inGroup(t, group.Dirs(), file[0], file[1]); got != file[2] {
					t.Errorf("%s is %q, want %s", file[1], got, file[2])
				}
			}
			if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
				t.Error(err)
			}
			if bySystemd {
				f.gone(group.Path())
			} else if _, err := os.Stat(group.Dirs()[0]); err == nil {
				t.Errorf("%s is left", group.Dirs()[0])
			}
		})
	}
}

// gone waits until systemd has removed a cgroup; it does so some time after its last process has gone.
func (f *fixture) gone(path string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	for {
		if _, err := os.Stat("/sys/fs/cgroup" + path); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			f.Fatalf("cgroup %s is left", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
