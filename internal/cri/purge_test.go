package cri

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	for _, dir := range []string{f.cfg.RunDir, filepath.Join(f.cfg.RootDir, "containers"), states} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
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
