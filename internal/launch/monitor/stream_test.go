package monitor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func sleeper(t testing.TB, p *monitortest.Pod, id string) *specs.Spec {
	t.Helper()
	spec := monitortest.Spec(monitortest.Root(t), "sleep", "1000")
	if _, err := start(t, p, spec, monitor.StartRequest{ID: id}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	return spec
}

func execIn(t testing.TB, p *monitortest.Pod, id string, process *specs.Process, r monitor.ExecRequest) (*monitor.Process, error) {
	t.Helper()
	program, files, err := compile.Exec(process, compile.ExecOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		defer f.Close()
	}
	r.ID, r.Program, r.Files, r.TTY = id, program, files, process.Terminal
	return p.Exec(deadline(t), r)
}

func TestExec(t *testing.T) {
	p := monitortest.New(t)
	spec := sleeper(t, p, "a")
	process := *spec.Process
	process.Args = []string{"sh", "-c", "cat; hostname; cat /proc/1/cmdline; echo oops >&2; exit 3"}
	e, err := execIn(t, p, "a", &process, monitor.ExecRequest{Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fmt.Fprintln(e.Stdin, "typed")
	e.Stdin.Close()
	out, _ := io.ReadAll(e.Stdout)
	errs, _ := io.ReadAll(e.Stderr)
	code, err := e.Wait(deadline(t))
	if code != 3 || err != nil || string(out) != "typed\nlaunched\nsleep\x001000\x00" || string(errs) != "oops\n" {
		t.Errorf("code %d, %v, output %q, errors %q", code, err, out, errs)
	}
	process.Args = []string{"nosuch"}
	if _, err := execIn(t, p, "a", &process, monitor.ExecRequest{}); err == nil || !strings.Contains(err.Error(), "exec nosuch: execve: no such file") {
		t.Errorf("error %v", err)
	}
	process.Args = []string{"sleep", "100"}
	if e, err = execIn(t, p, "a", &process, monitor.ExecRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Signal(deadline(t), 15); err != nil {
		t.Fatal(err)
	}
	if code, err := e.Wait(deadline(t)); code != 143 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestExecTerminal(t *testing.T) {
	p := monitortest.New(t)
	spec := sleeper(t, p, "a")
	process := *spec.Process
	process.Terminal, process.ConsoleSize = true, &specs.Box{Width: 77, Height: 22}
	process.Args = []string{"sh", "-c", "tty; stty size; read x; stty size; exit 4"}
	e, err := execIn(t, p, "a", &process, monitor.ExecRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	lines := bufio.NewScanner(e.TTY)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || strings.TrimRight(lines.Text(), "\r") != want {
			t.Fatalf("line %q, want %q", lines.Text(), want)
		}
	}
	expect("/dev/pts/0")
	expect("22 77")
	if err := e.Resize(100, 50); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(e.TTY, "go\n")
	expect("go")
	expect("50 100")
	if code, err := e.Wait(deadline(t)); code != 4 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestTerminal(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "read x; tty; stty size; echo got $x; ls -l /dev/console; exit 5")
	spec.Process.Terminal = true
	log := filepath.Join(p.Dir, "log")
	events := p.Events(deadline(t))
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", LogPath: log, Stdin: true}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	a, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "a", Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := p.Resize(deadline(t), "a", 90, 30); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(a.Stdin, "me\n")
	out, err := io.ReadAll(a.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if status := exit(t, events, "a"); status.ExitCode != 5 {
		t.Errorf("exit code %d", status.ExitCode)
	}
	for _, want := range []string{"/dev/pts/0\r\n", "30 90\r\n", "got me\r\n", "crw"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	if got := logged(t, log); !strings.Contains(got, "stdout F got me\r\n") {
		t.Errorf("log\n%s", got)
	}
}

func TestAttach(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "cat; echo end >&2")
	events := p.Events(deadline(t))
	log := filepath.Join(p.Dir, "log")
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", Stdin: true, StdinOnce: true, LogPath: log}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	watcher, err := p.Attach(ctx, monitor.AttachRequest{ID: "a", Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	typist, err := p.Attach(ctx, monitor.AttachRequest{ID: "a", Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer typist.Close()
	fmt.Fprint(typist.Stdin, "one\ntwo")
	typist.Stdin.Close()
	for name, want := range map[*os.File]string{watcher.Stdout: "one\ntwo", watcher.Stderr: "end\n", typist.Stdout: "one\ntwo"} {
		if got, err := io.ReadAll(name); err != nil || string(got) != want {
			t.Errorf("output %q, %v; want %q", got, err, want)
		}
	}
	exit(t, events, "a")
	if got := logged(t, log); !strings.Contains(got, "stdout F one\n") || !strings.Contains(got, "stdout P two\n") {
		t.Errorf("log\n%s", got)
	}
}

// TestSlowClient never reads; the container and the other client must not wait for it.
func TestSlowClient(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "read x; head -c 5000000 /dev/zero; echo; echo finished")
	log := filepath.Join(p.Dir, "log")
	events := p.Events(deadline(t))
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", Stdin: true, LogPath: log}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	slow, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "a", Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	quick, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "a", Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	fmt.Fprintln(slow.Stdin, "go")
	n, err := io.Copy(io.Discard, quick.Stdout)
	if err != nil || n != 5000000+10 {
		t.Errorf("%d bytes, %v", n, err)
	}
	exit(t, events, "a")
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(content), "stdout F finished\n") || strings.Count(string(content), " stdout P ") < 300 {
		t.Error("the log lacks lines")
	}
}

func TestLogRotation(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "echo before; read x; echo after")
	log := filepath.Join(p.Dir, "log")
	events := p.Events(deadline(t))
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", Stdin: true, LogPath: log}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	for content := ""; content == ""; content = logged(t, log) {
		time.Sleep(time.Millisecond)
	}
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := p.ReopenLog(deadline(t), "a"); err != nil {
		t.Fatal(err)
	}
	if err := p.CloseStdin(deadline(t), "a"); err != nil {
		t.Fatal(err)
	}
	exit(t, events, "a")
	if one, two := logged(t, log+".1"), logged(t, log); one != "stdout F before\n" || two != "stdout F after\n" {
		t.Errorf("logs %q and %q", one, two)
	}
}

// TestAbortedAttaches leaves at random moments; the monitor must hold nothing after.
func TestAbortedAttaches(t *testing.T) {
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "yes") // never ends, so that no read waits for ever
	if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", Stdin: true}, compile.Options{}); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t, p.PID())
	for range 200 {
		ctx, cancel := context.WithCancel(deadline(t))
		if rand.IntN(2) == 0 {
			time.AfterFunc(time.Duration(rand.IntN(300))*time.Microsecond, cancel)
		}
		a, err := p.Attach(ctx, monitor.AttachRequest{ID: "a", Stdin: rand.IntN(2) == 0, Stdout: true, Stderr: rand.IntN(2) == 0})
		if err == nil {
			if rand.IntN(2) == 0 {
				_, _ = a.Stdout.Read(make([]byte, rand.IntN(10000)))
			}
			a.Close()
		}
		cancel()
	}
	after := 0
	for range 500 {
		if _, err := p.List(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if after = descriptors(t, p.PID()); after <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors before, %d after", before, after)
}

func descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
