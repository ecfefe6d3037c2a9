package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func newNamespaces(t testing.TB) *Namespaces {
	t.Helper()
	run := t.TempDir()
	n, err := NewNamespaces(run, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(mounts), run) {
			t.Errorf("mounts are left below %s", run)
		}
	})
	return n
}

// inside runs f on a thread that has joined the namespaces.
func inside(t *testing.T, paths Paths, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		for _, path := range []string{paths.Network, paths.IPC, paths.UTS} {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = unix.Setns(fd, 0)
				unix.Close(fd)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestNamespaces(t *testing.T) {
	n := newNamespaces(t)
	want := Wanted{Network: true, IPC: true, UTS: true, Hostname: "pod", Sysctls: map[string]string{"kernel.shmmni": "77", "net.ipv4.ping_group_range": "1 2"}}
	paths, err := n.Make("one", want)
	if err != nil {
		t.Fatal(err)
	}
	inside(t, paths, func() error {
		read := func(path string) string {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			return strings.Join(strings.Fields(string(content)), " ")
		}
		got := map[string]string{
			"hostname": read("/proc/sys/kernel/hostname"),
			"shmmni":   read("/proc/sys/kernel/shmmni"),
			"ping":     read("/proc/sys/net/ipv4/ping_group_range"),
			"port":     read("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
			"lo":       read("/proc/thread-self/net/if_inet6")[:32],
		}
		if diff := cmp.Diff(map[string]string{"hostname": "pod", "shmmni": "77", "ping": "1 2", "port": "0", "lo": "00000000000000000000000000000001"}, got); diff != "" {
			t.Error(diff)
		}
		return nil
	})
	if known, err := n.Known(); err != nil || len(known) != 1 || known[0] != "one" {
		t.Errorf("known: %v, %v", known, err)
	}
	for range 2 {
		if err := n.Remove("one"); err != nil {
			t.Error(err)
		}
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	n := newNamespaces(t)
	_, err := n.Make("one", Wanted{Network: true, IPC: true, UTS: true, Sysctls: map[string]string{"net.no.such": "1"}})
	if !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("error %v", err)
	}
	if known, err := n.Known(); err != nil || len(known) != 0 {
		t.Errorf("left: %v, %v", known, err)
	}
}

func TestCheckSysctls(t *testing.T) {
	cases := map[string]struct {
		name         string
		network, ipc bool
		ok           bool
	}{
		"network":         {"net.ipv4.tcp_syncookies", true, true, true},
		"slashes":         {"net/ipv4/conf/eth0.1/forwarding", true, true, true},
		"host network":    {"net.ipv4.tcp_syncookies", false, true, false},
		"ipc":             {"kernel.shmmax", true, true, true},
		"queues":          {"fs.mqueue.msg_max", true, true, true},
		"host ipc":        {"kernel.msgmax", true, false, false},
		"machine":         {"vm.swappiness", true, true, false},
		"other kernel":    {"kernel.core_pattern", true, true, false},
		"climbing":        {"net/../kernel/core_pattern", true, true, false},
		"climbing dotted": {"net...kernel.core_pattern", true, true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := CheckSysctls(map[string]string{c.name: "1"}, c.network, c.ipc); (err == nil) != c.ok {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	n := newNamespaces(t)
	dir := filepath.Join(t.TempDir(), "sandbox")
	files, err := MakeFiles(dir, "pod", &runtimev1.DNSConfig{Servers: []string{"10.0.0.1", "10.0.0.2"}, Searches: []string{"a", "b"}, Options: []string{"ndots:5"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(files.ResolvConf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("search a b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5\n", string(got)); diff != "" {
		t.Error(diff)
	}
	if err := n.MakeShm("one", nil); err != nil {
		t.Fatal(err)
	}
	if err := n.MakeShm("one", nil); err == nil {
		t.Error("a second shm was mounted over the first")
	}
	for range 2 {
		if err := n.RemoveShm("one"); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkNamespaces(b *testing.B) {
	n := newNamespaces(b)
	for b.Loop() {
		if _, err := n.Make("one", Wanted{Network: true, IPC: true, UTS: true, Hostname: "pod"}); err != nil {
			b.Fatal(err)
		}
		if err := n.Remove("one"); err != nil {
			b.Fatal(err)
		}
	}
}
