package doctor

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	findings := Check(context.Background(), Config{
		DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), Listen: "127.0.0.1:0", PodCIDRs: []string{"198.18.77.0/24"},
	})
	if len(findings) != len(checks()) {
		t.Errorf("%d findings of %d checks", len(findings), len(checks()))
	}
	if err := Refusal(findings); err != nil {
		t.Errorf("this machine runs the other tests, but: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestProcessStays lets the checks make namespaces often enough that the main thread would be hit, and looks whether
// it was: all of /proc/self is about that thread.
func TestProcessStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes namespaces, which takes root")
	}
	read := func() (all string) {
		for _, name := range []string{"mnt", "pid_for_children", "net", "ipc", "uts", "cgroup"} {
			link, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				t.Fatal(err)
			}
			all += link + "\n"
		}
		return all
	}
	before := read()
	var checks sync.WaitGroup
	for range 50 {
		checks.Go(func() {
			for _, f := range []Finding{checkNamespaces(t.Context(), Config{}), checkVirtualNetwork(t.Context(), Config{})} {
				if !f.OK {
					t.Errorf("%+v", f)
				}
			}
		})
	}
	checks.Wait()
	if diff := cmp.Diff(before, read()); diff != "" {
		t.Errorf("the process moved: %s", diff)
	}
}

func TestListenInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := checkListen(context.Background(), Config{Listen: l.Addr().String()})
	if f.OK || !f.Fatal || !strings.Contains(f.Detail, "doctor.test") {
		t.Errorf("want fatal, naming this test as the holder: %+v", f)
	}
}

func TestWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir string
		ok  bool
	}{
		"below a file":  {filepath.Join(file, "data"), false},
		"kernel's tree": {"/proc/mayfly", false},
		"new directory": {filepath.Join(t.TempDir(), "a", "b"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if f := checkWritable(c.dir, "--data-dir"); f.OK != c.ok || f.Fatal == c.ok {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestJudgeKernel(t *testing.T) {
	for release, fatal := range map[string]bool{
		"6.18.0": false, "5.12.0-rc1": false, "5.11.22-generic": true, "4.19.0-26-amd64": true, "10.0": false,
	} {
		if f := judgeKernel(release); f.Fatal != fatal || f.OK == fatal {
			t.Errorf("%s: %+v", release, f)
		}
	}
	if f := judgeKernel("custom"); f.OK || f.Fatal {
		t.Errorf("an unreadable release is worth a warning, not a refusal: %+v", f)
	}
}

func TestJudgeCapabilities(t *testing.T) {
	const all = 1<<41 - 1
	for name, c := range map[string]struct {
		set       uint64
		ok, fatal bool
	}{
		"all":             {all, true, false},
		"no SYS_RESOURCE": {all &^ (1 << 24), false, false},
		"no SYS_ADMIN":    {all &^ (1 << 21), false, true},
		"none":            {0, false, true},
	} {
		if f := judgeCapabilities(c.set); f.OK != c.ok || f.Fatal != c.fatal {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestJudgeLayout(t *testing.T) {
	v1 := "cgroup /sys/fs/cgroup/cpu cgroup rw,nosuid,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"
	for name, c := range map[string]struct {
		mounts, v2, detail string
		writable           bool
		ok, fatal          bool
	}{
		"v1":          {v1, "", "v1, with", true, true, false},
		"hybrid":      {v1 + "none /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "hugetlb", "hybrid, with", true, true, false},
		"v2":          {"cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "cpuset cpu io memory pids", "v2, with", true, true, false},
		"v2, no pids": {"cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "cpu memory", "without the controllers pids", true, false, false},
		"none":        {"proc /proc proc rw 0 0\n", "", "no cgroup", true, false, true},
		"read-only":   {v1, "", "not writable", false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := parseLayout(c.mounts)
			for i := range l {
				if l[i].v2 {
					l[i].controllers = strings.Fields(c.v2)
				}
			}
			f := judgeLayout(l, func(string) bool { return c.writable })
			if f.OK != c.ok || f.Fatal != c.fatal || !strings.Contains(f.Detail, c.detail) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestJudgeSpace(t *testing.T) {
	for name, c := range map[string]struct {
		free, inodes, freeInodes uint64
		ok, fatal                bool
	}{
		"plenty":       {100 << 30, 1 << 20, 1 << 19, true, false},
		"no inodes":    {100 << 30, 1 << 20, 5, false, false},
		"btrfs":        {100 << 30, 0, 0, true, false},
		"tight":        {500 << 20, 1 << 20, 1 << 19, false, false},
		"nothing left": {1 << 20, 1 << 20, 1 << 19, false, true},
	} {
		if f := judgeSpace("/x", c.free, c.inodes, c.freeInodes); f.OK != c.ok || f.Fatal != c.fatal {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestConflict(t *testing.T) {
	pods := netip.MustParsePrefix("10.88.0.0/16")
	for prefix, want := range map[string]bool{
		"10.88.0.0/16": true, "10.88.3.0/24": true, "10.0.0.0/8": false, "10.89.0.0/16": false, "fd00::/64": false,
	} {
		if _, got := conflict(pods, []route{{netip.MustParsePrefix(prefix), "eth0"}}); got != want {
			t.Errorf("%s: conflict %v", prefix, got)
		}
	}
}

func TestPodNetwork(t *testing.T) {
	for cidr, want := range map[string]bool{
		"198.18.77.0/24": true, "fd98:7654::/64": true,
		"127.0.0.0/8": false, "224.0.0.0/16": false, "169.254.7.0/24": false, "0.0.0.0/8": false, "fe80::/64": false, "10.88.0.0": false,
	} {
		if f := checkPodNetwork(t.Context(), Config{DataDir: t.TempDir(), PodCIDRs: []string{cidr}}); f.OK != want || f.Fatal == want {
			t.Errorf("%s: %+v", cidr, f)
		}
	}
}

func TestRefusal(t *testing.T) {
	err := Refusal([]Finding{
		{Name: "kernel", Detail: "Linux 4.19 is too old", Remedy: "boot Linux 5.12 or later", Fatal: true},
		{Name: "disk space", Detail: "500 MB left", Remedy: "free some"},
		{Name: "user", OK: true},
	})
	if err == nil {
		t.Fatal("want a refusal")
	}
	if diff := cmp.Diff("kernel: Linux 4.19 is too old: boot Linux 5.12 or later", err.Error()); diff != "" {
		t.Error(diff)
	}
	if err := Refusal(nil); err != nil {
		t.Error(err)
	}
}
