package monitor_test

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// start compiles and starts; it waits for nothing.
func start(t testing.TB, p *monitortest.Pod, spec *specs.Spec, r monitor.StartRequest, opt compile.Options) (monitor.Status, error) {
	t.Helper()
	program, files, err := compile.Container(spec, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		defer f.Close()
	}
	r.Program, r.Files, r.TTY = program, files, spec.Process.Terminal
	return p.Start(deadline(t), r)
}

// run starts a container with a log, waits for its exit and gives its log without times.
func run(t testing.TB, p *monitortest.Pod, spec *specs.Spec, r monitor.StartRequest, opt compile.Options) (monitor.Status, string) {
	t.Helper()
	r.LogPath = filepath.Join(p.Dir, r.ID+".log")
	events := p.Events(deadline(t))
	if _, err := start(t, p, spec, r, opt); err != nil {
		t.Fatal(err)
	}
	status := exit(t, events, r.ID)
	return status, logged(t, r.LogPath)
}

// TestIgnoredSignals: what the server was started with, by nohup for one, is not the containers'.
func TestIgnoredSignals(t *testing.T) {
	ignored := []os.Signal{unix.SIGHUP, unix.SIGPIPE, unix.SIGUSR1}
	signal.Ignore(ignored...)
	p := monitortest.New(t)
	signal.Reset(ignored...)
	spec := monitortest.Spec(monitortest.Root(t), "grep", "SigIgn", "/proc/self/status")
	if _, log := run(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{}); !strings.Contains(log, "0000000000000000") {
		t.Errorf("ignored signals: %s", log)
	}
}

func exit(t testing.TB, events <-chan monitor.Event, id string) monitor.Status {
	t.Helper()
	for e := range events {
		if e.Status.ID == id && e.Status.Phase == monitor.Exited {
			return e.Status
		}
	}
	t.Fatalf("container %s did not exit", id)
	return monitor.Status{}
}

func logged(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(content)) {
		at, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out.WriteString(rest)
	}
	return out.String()
}

func TestStart(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "echo out; echo err >&2; hostname; echo $$; ls /dev; exit 7")
	status, log := run(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{})
	if status.ExitCode != 7 {
		t.Errorf("exit code %d", status.ExitCode)
	}
	for _, want := range []string{"stdout F out\n", "stderr F err\n", "stdout F launched\n", "stdout F 1\n", "stdout F null\n", "stdout F ptmx\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}
