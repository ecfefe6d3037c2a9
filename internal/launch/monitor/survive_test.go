package monitor_test

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
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// group makes a cgroup that ends with the test.
func group(t testing.TB) *cgroup.Group {
	t.Helper()
	h, err := cgroup.Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Group(fmt.Sprintf("/mayfly-monitor-test-%d-%s", os.Getpid(), filepath.Base(t.TempDir())))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := g.Kill(ctx); err != nil {
			t.Error(err)
		}
		if err := g.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestOOM(t *testing.T) {
	p := monitortest.New(t)
	g := group(t)
	limit := int64(16 << 20)
	if err := g.Apply(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}); err != nil {
		t.Fatal(err)
	}
	spec := monitortest.Spec(monitortest.Root(t), "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
	status, log := run(t, p, spec, monitor.StartRequest{ID: "a", KillDir: g.KillDir(), OOMFile: g.OOMFile()}, compile.Options{CgroupDirs: g.Dirs()})
	if !status.OOMKilled || status.ExitCode != 137 {
		t.Errorf("%+v\n%s", status, log)
	}
}

// TestLeftovers runs beside another container, in its PID namespace: nothing dies by itself.
func TestLeftovers(t *testing.T) {
	p := monitortest.New(t)
	g := group(t)
	sleeper(t, p, "target")
	target, err := p.State(deadline(t), "target")
	if err != nil {
		t.Fatal(err)
	}
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "sleep 1000 & ps; cat /proc/1/cmdline")
	spec.Linux.Namespaces[0].Path = fmt.Sprintf("/proc/%d/ns/pid", target.PID)
	status, log := run(t, p, spec, monitor.StartRequest{ID: "a", KillDir: g.KillDir()}, compile.Options{CgroupDirs: g.Dirs()})
	if status.ExitCode != 0 || !strings.Contains(log, "sleep\x001000") {
		t.Errorf("%+v\n%s", status, log)
	}
	if pids, err := g.Processes(); err != nil || len(pids) != 0 {
		t.Errorf("processes %v are left, %v", pids, err)
	}
}

// TestServerDies kills a server that started containers, and asks their monitor.
func TestServerDies(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sleep", "1000")
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "runs"}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	spec = monitortest.Spec(monitortest.Root(t), "sh", "-c", "read x; exit 9")
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "ends", Stdin: true, StdinOnce: true}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	a, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "ends", Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Close() // all that a dead server leaves are closed descriptors
	<-p.Done()
	a.Close()
	client, err := monitor.Dial(deadline(t), p.Config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := map[string]monitor.Phase{}
	for got["ends"] != monitor.Exited {
		list, err := client.List(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			got[s.ID] = s.Phase
		}
	}
	if diff := cmp.Diff(map[string]monitor.Phase{"runs": monitor.Running, "ends": monitor.Exited}, got); diff != "" {
		t.Error(diff)
	}
	list, err := monitor.ReadState(p.Config.Dir)
	if err != nil || len(list) != 2 {
		t.Fatalf("state %v, %v", list, err)
	}
	for _, s := range list {
		if s.ID == "runs" && s.Phase != monitor.Lost || s.ID == "ends" && (s.Phase != monitor.Exited || s.ExitCode != 9) {
			t.Errorf("state %+v", s)
		}
	}
	if err := client.Remove(deadline(t), "ends"); err != nil {
		t.Error(err)
	}
	if err := client.Shutdown(deadline(t)); err == nil {
		t.Error("the monitor ends while a container runs")
	}
}

func TestPause(t *testing.T) {
	p := monitortest.New(t)
	program, files, err := compile.Pause(compile.PauseOptions{Namespaces: []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace},
	}, Hostname: "pod"})
	if err != nil {
		t.Fatal(err)
	}
	pause, err := p.Start(deadline(t), monitor.StartRequest{ID: "pause", Program: program, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "(sleep 0.1 &) ; ps; hostname; sleep 0.5; ps | grep -c sleep")
	spec.Hostname = ""
	for i, ns := range spec.Linux.Namespaces {
		name := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.NetworkNamespace: "net"}[ns.Type]
		if name != "" {
			spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", pause.PID, name)
		}
	}
	_, log := run(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{})
	if !strings.Contains(log, "1 65535") || !strings.Contains(log, "pause") || !strings.Contains(log, "F pod\n") {
		t.Errorf("log\n%s", log)
	}
	if err := p.Signal(deadline(t), "pause", 15, false); err != nil {
		t.Error(err)
	}
}

// TestMemory holds a monitor to what a Pod of ten containers may cost: its executable is
// shared by all Pods.
func TestMemory(t *testing.T) {
	p := monitortest.New(t)
	root := monitortest.Root(t)
	for i := range 10 {
		spec := monitortest.Spec(root, "sh", "-c", "echo hello; exec sleep 1000")
		r := monitor.StartRequest{ID: fmt.Sprintf("%064d", i), LogPath: fmt.Sprintf("%s/%d.log", p.Dir, i)}
		if _, err := start(t, p, spec, r, compile.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	quiet(t, p.PID())
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for line := range strings.Lines(string(content)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &kb); n == 1 {
			private += kb
		}
	}
	t.Logf("%d kB private", private)
	if private > 1000*1000/1024 { // a megabyte
		t.Errorf("%d kB private\n%s", private, content)
	}
}

// TestNotBuilt says what to do when mayfly was built without its monitor.
func TestNotBuilt(t *testing.T) {
	if _, err := monitor.NewExecutable(nil); err == nil || !strings.Contains(err.Error(), "make monitor") {
		t.Errorf("error %v", err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal("tests of the monitor need the go command")
	}
}
