package cri

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestPurgeOfBrokenInstance: neither a network that cannot be set up, nor a corrupt image store, nor lost or broken
// records keep an instance from being taken down, however often that is interrupted.
func TestPurgeOfBrokenInstance(t *testing.T) {
	f := newFixture(t)
	shared := func(c *runtimev1.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
	}
	hosts := func(c *runtimev1.PodSandboxConfig) {
		options := c.Linux.SecurityContext.NamespaceOptions
		options.Network, options.Ipc = runtimev1.NamespaceMode_NODE, runtimev1.NamespaceMode_NODE
	}
	pods := map[string]string{}
	for name, change := range map[string]func(*runtimev1.PodSandboxConfig){"whole": shared, "lost": hosts, "broken": shared} {
		id, config := f.pod(name, change)
		f.run(id, config, "app")
		f.create(id, config, "created")
		pods[name] = id
	}
	f.stop()
	states := filepath.Join(f.cfg.RootDir, "state", "sandboxes")
	if err := os.Remove(filepath.Join(states, pods["lost"]+".json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(states, pods["broken"]+".json"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	databases, _ := filepath.Glob(filepath.Join(f.cfg.RootDir, "images", "*.db"))
	for _, path := range databases {
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
	}
	cidrs := f.cfg.PodCIDRs
	f.cfg.PodCIDRs = []string{"127.0.0.0/24"}
	if server, err := New(t.Context(), f.cfg); err == nil {
		server.close()
		t.Error("the broken instance can be opened")
	}
	for _, patience := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_ = Purge(ctx, f.cfg) // as far as it comes
		cancel()
	}
	if err := Purge(t.Context(), f.cfg); err != nil {
		t.Logf("what could not be read is told: %v", err)
	}
	f.cfg.PodCIDRs = cidrs
	for range 2 {
		if err := Purge(t.Context(), f.cfg); err != nil {
			t.Errorf("purge once more: %v", err)
		}
	}
	if left, err := os.ReadDir(f.cfg.RunDir); err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", f.cfg.RunDir, left, err)
	}
	if left, err := os.ReadDir(states); err != nil || len(left) != 1 || left[0].Name() != pods["whole"]+".json" {
		t.Errorf("%s holds %v, %v", states, left, err)
	}
}

// TestEndsAreToldAfterPurge: the next runtime knows how each container ended, and nothing of one that never ran.
func TestEndsAreToldAfterPurge(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	flag := func(c *runtimev1.ContainerConfig) {
		c.Mounts = []*runtimev1.Mount{{ContainerPath: "/flag", HostPath: f.logs}, {ContainerPath: "/image", Readonly: true, Image: &runtimev1.ImageSpec{Image: busybox}}}
	}
	running := f.run(pod, config, "running", flag)
	ended := f.run(pod, config, "ended", shell("exit 4"))
	f.exited(ended)
	meanwhile := f.run(pod, config, "meanwhile", shell("while [ ! -e /flag/go ]; do sleep 0.02; done; touch /flag/gone; exit 6"), flag)
	created := f.create(pod, config, "created")
	c, err := f.server.containers.Get(meanwhile)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := unix.PidfdOpen(c.PID(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(gone)
	f.stop()
	if err := os.WriteFile(filepath.Join(f.logs, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(gone), Events: unix.POLLIN}}, 20_000); n != 1 {
		t.Fatalf("it does not end: %v", err)
	}
	f.purge()
	f.start()
	for name, want := range map[string]struct {
		id     string
		code   int32
		reason string
	}{
		"running": {running, 137, "Error"}, "ended": {ended, 4, "Error"}, "meanwhile": {meanwhile, 6, "Error"},
	} {
		if s := f.status(want.id); s.GetState() != runtimev1.ContainerState_CONTAINER_EXITED || s.GetExitCode() != want.code || s.GetReason() != want.reason {
			t.Errorf("%s: %v", name, s)
		}
	}
	if _, err := f.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: created}); status.Code(err) != codes.NotFound {
		t.Errorf("created: %v", err)
	}
	if box, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod}); err != nil || box.GetStatus().GetState() != runtimev1.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("sandbox: %v, %v", box, err)
	}
	if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"containers", "state/containers", "state/sandboxes"} {
		if left, err := os.ReadDir(filepath.Join(f.cfg.RootDir, kind)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", kind, left, err)
		}
	}
}

// TestPurgeOfNothing leaves nothing either.
func TestPurgeOfNothing(t *testing.T) {
	root := t.TempDir()
	cfg := Config{RootDir: filepath.Join(root, "root"), RunDir: filepath.Join(root, "run"), Socket: filepath.Join(root, "s"), InstanceID: "00fe31aa", PodCIDRs: []string{"198.18.7.0/24"}}
	if err := Purge(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	if exists(cfg.RunDir) || exists(filepath.Join(cfg.RootDir, "state")) {
		t.Error("purge made directories")
	}
}
