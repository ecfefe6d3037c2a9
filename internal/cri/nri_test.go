package cri

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestPluginEvents: a plugin hears of everything once and in order, and after a restart of the runtime of what is there.
func TestPluginEvents(t *testing.T) {
	f := newFixture(t, withPlugins)
	if info, err := os.Stat(f.cfg.nri().Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	p := f.plug("00", &plugin{})
	if len(p.there) != 0 {
		t.Errorf("there is %q", p.there)
	}
	pod, config := f.pod("web")
	app := f.run(pod, config, "app")
	short := f.run(pod, config, "short", shell("true"))
	f.exited(short)
	if _, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: app, Linux: &runtimev1.LinuxContainerResources{CpuShares: 512}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.UpdatePodSandboxResources(t.Context(), &runtimev1.UpdatePodSandboxResourcesRequest{PodSandboxId: pod}); err != nil {
		t.Fatal(err)
	}
	events := p.told(t, "stop short", "updated web")
	ended, begun := slices.Index(events, "stop short"), slices.Index(events, "start short")
	if ended < begun {
		t.Errorf("told of an end before the start: %q", events)
	}
	want := []string{
		"run web", "create app", "created app", "start app", "started app", "create short", "created short", "start short", "started short",
		"update app", "updated app", "update web", "updated web",
	}
	if diff := cmp.Diff(want, slices.Delete(events, ended, ended+1)); diff != "" { // the end comes when it does
		t.Error(diff)
	}

	f.restart()
	late := f.plug("00", &plugin{})
	if diff := cmp.Diff([]string{"app", "web"}, late.there); diff != "" {
		t.Error(diff)
	}
	for range 2 { // what is repeated is not told again
		if _, err := f.StopPodSandbox(t.Context(), &runtimev1.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: app}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Fatal(err)
	}
	want = []string{"stop app", "stop web", "remove app", "remove short", "remove web"}
	if diff := cmp.Diff(want, late.told(t, "remove web")); diff != "" {
		t.Error(diff)
	}
}

// TestPluginAdjusts: a container is as plugins want it, in what runs, in what the kernel limits and in what clients are told.
func TestPluginAdjusts(t *testing.T) {
	dir := t.TempDir()
	hostDevice(t, filepath.Join(dir, "node"))
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cdi.json", `{"cdiVersion": "0.6.0", "kind": "example.com/x", "devices": [{"name": "y", "containerEdits": {"env": ["CDI=yes"]}}]}`)
	f := newFixture(t, withPlugins, func(c *Config) { c.CDIDirs = []string{dir} })
	f.plug("00", &plugin{onCreate: func(_ context.Context, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
		a := &api.ContainerAdjustment{}
		a.AddMount(&api.Mount{Source: dir, Destination: "/given", Type: "bind", Options: []string{"rbind", "ro"}})
		a.RemoveEnv("DROP")
		a.AddEnv("ADDED", "yes")
		a.AddAnnotation("plugin", "was here")
		a.AddDevice(&api.LinuxDevice{Path: "/dev/mine", Type: "c", Major: deviceMajor, Minor: deviceMinor})
		a.AddCDIDevice(&api.CDIDevice{Name: "example.com/x=y"})
		a.AddRlimit("RLIMIT_NOFILE", 100, 99)
		a.SetLinuxMemoryLimit(48 << 20)
		a.SetLinuxCPUShares(300)
		a.SetLinuxPidLimits(77)
		a.SetLinuxOomScoreAdj(&[]int{901}[0])
		a.SetLinuxCgroupsPath(c.GetLinux().GetCgroupsPath() + "-moved")
		a.SetArgs([]string{"sh", "-c", "exec sleep 1001"})
		return a, nil, nil
	}})
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Envs = []*runtimev1.KeyValue{{Key: "DROP", Value: []byte("no")}} })
	script := `ls /given; : <>/dev/mine && stat -c %t:%T /dev/mine; echo $ADDED $CDI ${DROP-gone}; ulimit -n; cat /proc/1/oom_score_adj; tr '\0' ' ' </proc/1/cmdline`
	answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", script}, Timeout: 20})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("cdi.json\nnode\na:c8\nyes yes gone\n99\n901\nsleep 1001 ", string(answer.GetStdout())); diff != "" {
		t.Errorf("%s\n%s", diff, answer.GetStderr())
	}
	c, err := f.server.containers.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	built, err := f.server.containers.Spec(c)
	if err != nil {
		t.Fatal(err)
	}
	if built.Annotations["plugin"] != "was here" || !strings.HasSuffix(built.Linux.CgroupsPath, "-moved") {
		t.Errorf("annotations %v, cgroup %s", built.Annotations, built.Linux.CgroupsPath)
	}
	limits := func(when string) {
		t.Helper()
		group, err := f.server.cgroups.Group(built.Linux.CgroupsPath)
		if err != nil {
			t.Fatal(err)
		}
		memory, pids := inGroup(t, group.Dirs(), "memory.limit_in_bytes", "memory.max"), inGroup(t, group.Dirs(), "pids.max", "pids.max")
		if memory != "50331648" || pids != "77" {
			t.Errorf("%s: memory %s, pids %s", when, memory, pids)
		}
		if linux := f.status(id).GetResources().GetLinux(); linux.GetMemoryLimitInBytes() != 48<<20 {
			t.Errorf("%s: status %v", when, linux)
		}
	}
	limits("created")
	if _, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: &runtimev1.LinuxContainerResources{CpuShares: 600}}); err != nil {
		t.Fatal(err)
	}
	limits("updated")
}

// TestPluginUpdates: plugins change limits when a client does, when another container is made, and of their own accord.
func TestPluginUpdates(t *testing.T) {
	f := newFixture(t, withPlugins)
	pod, config := f.pod("web")
	first := f.run(pod, config, "first")
	memory := func(limit int64) *api.ContainerUpdate {
		u := &api.ContainerUpdate{}
		u.SetContainerId(first)
		u.SetLinuxMemoryLimit(limit)
		return u
	}
	p := f.plug("00", &plugin{
		onUpdate: func(_ *api.Container, r *api.LinuxResources) []*api.ContainerUpdate {
			return []*api.ContainerUpdate{memory(r.GetMemory().GetLimit().GetValue() / 2)}
		},
		onCreate: func(context.Context, *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
			return nil, []*api.ContainerUpdate{memory(40 << 20)}, nil
		},
	})
	check := func(when, want string) {
		t.Helper()
		if got := f.limit(first, "memory.limit_in_bytes", "memory.max"); got != want {
			t.Errorf("%s: memory %s", when, got)
		}
	}
	if _, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: first, Linux: &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}}); err != nil {
		t.Fatal(err)
	}
	check("halved", "33554432")
	f.create(pod, config, "second")
	check("by the way", "41943040")
	if failed, err := p.stub.UpdateContainers([]*api.ContainerUpdate{memory(48 << 20)}); err != nil || len(failed) != 0 {
		t.Errorf("of its own accord: %v, %v", failed, err)
	}
	check("of its own accord", "50331648")
	beyond := memory(48 << 20)
	beyond.SetLinuxMemorySwappiness(10)
	if _, err := p.stub.UpdateContainers([]*api.ContainerUpdate{beyond}); err == nil || !strings.Contains(err.Error(), "other limits") {
		t.Errorf("a limit that cannot be changed: %v", err)
	}
}

// TestPluginRefuses: what a plugin refuses, or wants as it cannot be, leaves nothing, and was to be seen by nobody.
func TestPluginRefuses(t *testing.T) {
	f := newFixture(t, withPlugins)
	refuse := errors.New("not today")
	p := &plugin{onPod: func(pod *api.PodSandbox) error {
		if list := f.server.listSandboxes(nil); len(list) != 0 {
			t.Errorf("the sandbox is seen while a plugin is asked: %v", list)
		}
		_, err := f.CreateContainer(context.Background(), &runtimev1.CreateContainerRequest{PodSandboxId: pod.GetId(), Config: sleeper("early")})
		if status.Code(err) != codes.NotFound {
			t.Errorf("a container in a sandbox that a plugin is asked about: %v", err)
		}
		return refuse
	}}
	f.plug("00", p)
	asked := &runtimev1.PodSandboxConfig{Metadata: &runtimev1.PodSandboxMetadata{Name: "web", Uid: "uid-web"}}
	if _, err := f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{Config: asked}); err == nil || !strings.Contains(err.Error(), refuse.Error()) {
		t.Errorf("refused sandbox: %v", err)
	}
	if diff := cmp.Diff([]string{"run web", "stop web", "remove web"}, p.told(t, "remove web")); diff != "" {
		t.Error(diff)
	}
	p.onPod = nil
	pod, config := f.pod("web")
	hook := &api.ContainerAdjustment{Hooks: &api.Hooks{CreateRuntime: []*api.Hook{{Path: "/bin/true"}}}}
	cases := map[string]struct {
		adjust *api.ContainerAdjustment
		err    error
		want   string
	}{
		"refused": {nil, refuse, refuse.Error()},
		"hooks":   {hook, nil, "hooks: not supported"},
		"device":  {&api.ContainerAdjustment{CDIDevices: []*api.CDIDevice{{Name: "example.com/none=1"}}}, nil, "not described"},
		"class":   {&api.ContainerAdjustment{Linux: &api.LinuxContainerAdjustment{Resources: &api.LinuxResources{BlockioClass: api.String("gold")}}}, nil, "block I/O"},
		"cgroup":  {&api.ContainerAdjustment{Linux: &api.LinuxContainerAdjustment{CgroupsPath: "../out"}}, nil, "not a clean absolute path"},
		"invalid": {&api.ContainerAdjustment{Env: []*api.KeyValue{{Key: "FORBIDDEN", Value: "1"}}}, nil, "may not be set"},
	}
	judge := &validator{onValidate: func(r *api.ValidateContainerAdjustmentRequest) error {
		if len(r.GetAdjust().GetEnv()) > 0 {
			return errors.New("FORBIDDEN may not be set")
		}
		return nil
	}}
	f.plugAs("10", &judge.plugin, judge)
	for name, c := range cases {
		p.onCreate = func(context.Context, *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
			if list := f.server.listContainers(nil); len(list) != 0 {
				t.Errorf("%s: the container is seen while a plugin is asked: %v", name, list)
			}
			return c.adjust, nil, c.err
		}
		_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, Config: sleeper("app"), SandboxConfig: config})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		p.told(t, "remove app")
	}
	if left, err := os.ReadDir(filepath.Join(f.cfg.RootDir, "containers")); err != nil || len(left) != 0 {
		t.Errorf("left of refused containers: %v, %v", left, err)
	}
	p.onCreate = nil
	f.run(pod, config, "app")
}

// TestPluginRefusesStart: a container whose start is refused has ended, with the reason.
func TestPluginRefusesStart(t *testing.T) {
	f := newFixture(t, withPlugins)
	f.plug("00", &plugin{onStart: func(context.Context) error { return errors.New("not today") }})
	pod, config := f.pod("web")
	id := f.create(pod, config, "app")
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("start: %v", err)
	}
	if s := f.status(id); s.GetState() != runtimev1.ContainerState_CONTAINER_EXITED || s.GetReason() != "StartError" || !strings.Contains(s.GetMessage(), "not today") {
		t.Errorf("status %v", s)
	}
}

// TestPluginLost: a plugin that dies or hangs in the middle of a question is cut off, and things go on without it.
func TestPluginLost(t *testing.T) {
	f := newFixture(t, withPlugins)
	pod, config := f.pod("web")
	dying := &plugin{}
	dying.onCreate = func(context.Context, *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
		return nil, nil, dying.conn.Close()
	}
	f.plug("00", dying)
	f.run(pod, config, "one")
	<-dying.closed

	forever := make(chan struct{})
	defer close(forever)
	hanging := f.plug("00", &plugin{onStart: func(context.Context) error { <-forever; return nil }})
	f.run(pod, config, "two")
	<-hanging.closed
	f.run(pod, config, "three")
}
