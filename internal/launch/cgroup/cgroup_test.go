package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// group makes a cgroup that ends with the test.
func group(t *testing.T) *Group {
	t.Helper()
	h, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	top, err := h.Group(fmt.Sprintf("/mayfly-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Group(top.Path() + "/a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := top.Kill(ctx); err != nil {
			t.Error(err)
		}
		if err := top.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	return g
}

// occupy runs a process in the cgroup.
func occupy(t *testing.T, g *Group) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for _, dir := range g.Dirs() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	return cmd
}

func TestLife(t *testing.T) {
	g := group(t)
	cmd := occupy(t, g)
	pids, err := g.Processes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{cmd.Process.Pid}, pids); diff != "" {
		t.Error(diff)
	}
	stats, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.PIDs != 1 || stats.PIDsLimit != 0 || stats.MemoryLimit != 0 {
		t.Errorf("stats %+v", stats)
	}
	ctx := deadline(t)
	if err := g.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if err := g.Thaw(ctx); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if pids, _ := g.Processes(); len(pids) != 0 {
		t.Errorf("processes %v live on", pids)
	}
	if err := g.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stats(); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("stats of a removed cgroup: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if _, path := err.(*os.PathError); path || !ok {
			return err
		}
		err = next.Unwrap()
	}
}

func ptr[T any](v T) *T { return &v }

func TestApply(t *testing.T) {
	g := group(t)
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](50000), Period: ptr[uint64](100000)},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](42)},
	}
	if err := g.Apply(r); err != nil {
		t.Fatal(err)
	}
	stats, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.MemoryLimit != 64<<20 || stats.PIDsLimit != 42 {
		t.Errorf("stats %+v", stats)
	}
	file, want := filepath.Join(g.dir("cpu"), "cpu.shares"), "512"
	if g.host.Unified() {
		file, want = filepath.Join(g.dir("cpu"), "cpu.weight"), "20"
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(content)); got != want {
		t.Errorf("%s is %s, want %s", file, got, want)
	}
	devices := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](3), Access: "rwm"},
	}}
	if err := g.Apply(devices); err != nil {
		t.Fatal(err)
	}
	if g.host.Unified() {
		return
	}
	if content, err = os.ReadFile(filepath.Join(g.dir("devices"), "devices.list")); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(content)); got != "c 1:3 rwm" {
		t.Errorf("devices %q", got)
	}
}

func TestUnified(t *testing.T) {
	got, err := unified(&specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](100), Swap: ptr[int64](150)},
		CPU:     &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](-1), Period: ptr[uint64](100000)},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](-1)},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](500)},
		Unified: map[string]string{"memory.high": "90"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []setting{
		{"memory", "memory.max", "100"}, {"memory", "memory.swap.max", "50"}, {"cpu", "cpu.weight", "39"}, {"cpu", "cpu.max", "max 100000"},
		{"pids", "pids.max", "max"}, {"io", "io.weight", "4950"}, {"memory", "memory.high", "90"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(setting{})); diff != "" {
		t.Error(diff)
	}
	if _, err := unified(&specs.LinuxResources{Unified: map[string]string{"../x.y": "1"}}); err == nil {
		t.Error("a path is taken for a file's name")
	}
}

func TestExpand(t *testing.T) {
	tests := map[string]string{
		"/mayfly-1/pod":                        "/mayfly-1/pod",
		"/kubepods.slice/kubepods-burst.slice": "/kubepods.slice/kubepods-burst.slice",
		"/a-b-c.slice":                         "/a.slice/a-b.slice/a-b-c.slice",
		"a-b.slice:cri:id":                     "/a.slice/a-b.slice/cri-id.scope",
	}
	for in, want := range tests {
		if got := expand(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	h := &Host{v2: "/sys/fs/cgroup"}
	for _, bad := range []string{"", "/", "rel", "/a/../.."} {
		if _, err := h.Group(bad); err == nil {
			t.Errorf("path %q is taken", bad)
		}
	}
}

// TestDeviceProgram loads a program into the kernel, whose verifier judges it.
func TestDeviceProgram(t *testing.T) {
	code, err := deviceProgram([]specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"}, {Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](3), Access: "rw"}, {Allow: true, Type: "b", Major: ptr[int64](8)},
	})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := loadProgram(code)
	if err != nil {
		t.Fatalf("the kernel refuses the program: %v", err)
	}
	os.NewFile(uintptr(fd), "program").Close()
}
