package cri

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/state"
)

func TestRestart(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
	})
	running := f.run(pod, config, "running", shell("echo first; while [ ! -e /go ]; do sleep 0.05; done; echo second; exit 5"))
	ended := f.run(pod, config, "ended", shell("exit 4"))
	f.exited(ended)
	created := f.create(pod, config, "created")
	before := map[string]*runtimev1.ContainerStatus{running: f.status(running), ended: f.status(ended), created: f.status(created)}
	meanwhile := f.run(pod, config, "meanwhile", shell("while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 6"), func(c *runtimev1.ContainerConfig) {
		c.Mounts = []*runtimev1.Mount{{ContainerPath: "/tmp", HostPath: f.logs}}
	})

	f.stop()
	if err := os.WriteFile(filepath.Join(f.logs, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	for id, want := range before {
		if got := f.status(id); got.String() != want.String() {
			t.Errorf("after the restart\n%v, before\n%v", got, want)
		}
	}
	if s := f.exited(meanwhile); s.GetExitCode() != 6 {
		t.Errorf("ended meanwhile: %v", s)
	}
	f.touch(running, "/go")
	if s := f.exited(running); s.GetExitCode() != 5 {
		t.Errorf("ended afterwards: %v", s)
	}
	if log := f.log("web", "running"); !strings.Contains(log, "first") || !strings.Contains(log, "second") {
		t.Errorf("log %q", log)
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: created}); err != nil {
		t.Errorf("start of a container that was created before: %v", err)
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: ended}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("second start: %v", err)
	}
	box, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod})
	if err != nil || box.GetStatus().GetState() != runtimev1.PodSandboxState_SANDBOX_READY || box.GetStatus().GetNetwork().GetIp() == "" {
		t.Errorf("sandbox %v, %v", box, err)
	}
}

// monitorPID finds a sandbox's monitor by what the runtime tells of it.
func (f *fixture) monitorPID(pod string) int {
	f.Helper()
	answer, err := f.PodSandboxStatus(f.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod, Verbose: true})
	if err != nil {
		f.Fatal(err)
	}
	var info struct{ MonitorPID int }
	if err := json.Unmarshal([]byte(answer.GetInfo()["info"]), &info); err != nil || info.MonitorPID <= 1 {
		f.Fatalf("monitor %v, %v", info, err)
	}
	return info.MonitorPID
}

// TestMonitorKilled: with the runtime looking on, and behind its back.
func TestMonitorKilled(t *testing.T) {
	for name, down := range map[string]bool{"watched": false, "unwatched": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			pod, config := f.pod("web")
			running, ended := f.run(pod, config, "running"), f.run(pod, config, "ended", shell("exit 4"))
			f.exited(ended)
			c, err := f.server.containers.Get(running)
			if err != nil {
				t.Fatal(err)
			}
			process := c.PID()
			monitor := f.monitorPID(pod)
			if down {
				f.stop()
			}
			if err := syscall.Kill(monitor, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if down {
				f.start()
			}
			if s := f.exited(running); s.GetReason() != "Lost" || s.GetExitCode() != 255 || s.GetMessage() == "" {
				t.Errorf("running: %v", s)
			}
			if s := f.status(ended); s.GetExitCode() != 4 || s.GetReason() != "Error" {
				t.Errorf("ended: %v", s)
			}
			// One that nobody has reaped yet is dead as well.
			if stat, err := os.ReadFile(filepath.Join("/proc", itoa(process), "stat")); err == nil && strings.Contains(string(stat), "(sleep)") && !strings.Contains(string(stat), "(sleep) Z") {
				t.Errorf("the process goes on without its monitor: %s", stat)
			}
			box, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod})
			if err != nil || box.GetStatus().GetState() != runtimev1.PodSandboxState_SANDBOX_NOTREADY {
				t.Errorf("sandbox %v, %v", box, err)
			}
			if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
				t.Error(err)
			}
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// TestCrashBetweenSteps puts the disk in the states that a death at any point leaves, and looks at what the next
// runtime makes of them.
func TestCrashBetweenSteps(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	halfStarted := f.create(pod, config, "half-started")
	gone := f.create(pod, config, "gone")
	kept := f.run(pod, config, "kept")
	halfPod, _ := f.pod("half")
	f.stop()

	edit(t, f, "containers", halfStarted, func(r *state.Container) { r.Started, r.StartedAt = true, time.Now().UnixNano() })
	edit(t, f, "sandboxes", halfPod, func(r *state.Sandbox) { r.Phase = state.Starting })
	if err := os.Remove(filepath.Join(f.cfg.RootDir, "state", "containers", gone+".json")); err != nil { // removed all but its directory
		t.Fatal(err)
	}
	f.start()
	if s := f.status(halfStarted); s.GetState() != runtimev1.ContainerState_CONTAINER_EXITED || s.GetReason() != "StartError" {
		t.Errorf("half-started: %v", s)
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: halfStarted}); err == nil {
		t.Error("a container was started twice")
	}
	if _, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: halfPod}); status.Code(err) != codes.NotFound {
		t.Errorf("half-made sandbox: %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.cfg.RootDir, "containers", gone)); !os.IsNotExist(err) {
		t.Errorf("directory of a removed container: %v", err)
	}
	if s := f.status(kept); s.GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Errorf("kept: %v", s)
	}
	f.pod("half") // its name is free again
}

func edit[R any](t *testing.T, f *fixture, kind, id string, change func(*R)) {
	t.Helper()
	store, err := state.Open[R](filepath.Join(f.cfg.RootDir, "state"), kind)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	change(all[id])
	if err := store.Save(id, all[id]); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptState(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	broken, good := f.run(pod, config, "broken"), f.run(pod, config, "good")
	other, otherConfig := f.pod("other")
	inOther := f.run(other, otherConfig, "in-other")
	f.stop()
	for _, path := range []string{"containers/" + broken, "sandboxes/" + other} {
		if err := os.WriteFile(filepath.Join(f.cfg.RootDir, "state", path+".json"), []byte(`{"version":1,"id":`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.start()
	if s := f.status(good); s.GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Errorf("good: %v", s)
	}
	if s := f.status(inOther); s.GetReason() != "Lost" {
		t.Errorf("container of a sandbox without state: %v", s)
	}
	if kept, err := filepath.Glob(filepath.Join(f.cfg.RootDir, "state", "quarantine", "*")); err != nil || len(kept) != 2 {
		t.Errorf("kept %v, %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(f.cfg.RootDir, "containers", broken, "upper")); err != nil {
		t.Errorf("what the broken one wrote is lost: %v", err)
	}
	f.pod("other") // a new sandbox for the same Pod
}

// TestDeathDuringWork builds a second server without stopping the first, as after kill -9: nothing was closed.
func TestDeathDuringWork(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	f.stop()
	for range 3 {
		server, err := New(t.Context(), f.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := server.Run(ctx); err != nil { // dies at once
			t.Fatal(err)
		}
	}
	f.start()
	if s := f.status(id); s.GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		t.Errorf("container: %v", s)
	}
	f.exec(id, "true")
}
