// Package monitortest gives tests a real Pod monitor and roots to run busybox in.
package monitortest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Build builds the monitor and gives its content. It needs the Go command.
var Build = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "podmonitor")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "podmonitor")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "github.com/mayfly-run/mayfly/cmd/podmonitor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build podmonitor: %w\n%s", err, said)
	}
	return os.ReadFile(out)
})

// Pod is a monitor with its directory.
type Pod struct {
	*monitor.Client
	Dir    string
	Config monitor.Config
}

// New spawns a monitor that ends with the test, as do its containers.
func New(t testing.TB) *Pod {
	t.Helper()
	content, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	executable, err := monitor.NewExecutable(content)
	if err != nil {
		t.Fatal(err)
	}
	defer executable.Close()
	dir := t.TempDir()
	p := &Pod{Dir: dir, Config: monitor.Config{
		Executable: executable, Dir: dir, Stderr: os.Stderr,
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if p.Client, err = monitor.Spawn(ctx, p.Config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	return p
}

// end kills what runs and shuts the monitor down; a monitor that does not listen is killed.
func (p *Pod) end(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	defer func() { _ = p.Client.Close() }()
	pid := p.PID()
	client, err := monitor.Dial(ctx, p.Config.Dir)
	if err != nil {
		return // it was shut down
	}
	defer client.Close()
	events := client.Events(ctx)
	list, err := client.List(ctx)
	left := 0
	for _, s := range list {
		if s.Phase == monitor.Running && client.Signal(ctx, s.ID, 9, false) == nil {
			left++
		}
	}
	for left > 0 {
		e, ok := <-events
		if !ok {
			break
		}
		if e.Status.Phase == monitor.Exited {
			left--
		}
	}
	if err == nil {
		err = client.Shutdown(ctx)
	}
	if err != nil {
		t.Errorf("shut monitor down: %v", err)
		if process, err := os.FindProcess(pid); err == nil {
			_ = process.Kill()
		}
	}
}

// Root makes a root file system with busybox, and /proc, /dev and so on left out.
func Root(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "cat", "echo", "ls", "sleep", "id", "stty", "tty", "stat", "readlink", "mount", "hostname", "grep", "head", "yes", "dd", "env", "kill", "true", "touch", "wc", "ps", "od"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Spec is a container's configuration with all that a runtime usually mounts.
func Spec(root string, args ...string) *specs.Spec {
	caps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE", "CAP_MKNOD"}
	return &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: root},
		Process: &specs.Process{
			Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/",
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Hostname: "launched",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.NetworkNamespace},
			},
			MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}
