package monitor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	"golang.org/x/sys/unix"
)

// switches counts how often the threads of a process have been put on a processor.
func switches(t testing.TB, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("threads of %d: %v", pid, err)
	}
	total := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			var n int
			if _, after, ok := strings.Cut(line, "voluntary_ctxt_switches:"); ok {
				_, _ = fmt.Sscan(after, &n)
				total += n
			}
		}
	}
	return total
}

// quiet waits until a process does nothing at all for three seconds.
func quiet(t testing.TB, pid int) {
	t.Helper()
	last, since := switches(t, pid), time.Now()
	for begin := time.Now(); time.Since(since) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
		if now := switches(t, pid); now != last {
			last, since = now, time.Now()
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("process %d never comes to rest", pid)
		}
	}
}

// TestIdle leaves a monitor alone in ways in which a busy loop could hide.
func TestIdle(t *testing.T) {
	tests := map[string]func(t *testing.T, p *monitortest.Pod){
		"without a client": func(_ *testing.T, p *monitortest.Pod) { p.Close() },
		"clients hang up": func(t *testing.T, p *monitortest.Pod) {
			for range 3 {
				a, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "a", Stdin: true, Stdout: true, Stderr: true})
				if err != nil {
					t.Fatal(err)
				}
				a.Close()
			}
		},
		"input that nobody reads": func(t *testing.T, p *monitortest.Pod) {
			a, err := p.Attach(deadline(t), monitor.AttachRequest{ID: "a", Stdin: true})
			if err != nil {
				t.Fatal(err)
			}
			_ = a.Stdin.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			for err == nil {
				_, err = a.Stdin.Write(make([]byte, 4096))
			}
			a.Close()
		},
		"a process on a terminal": func(t *testing.T, p *monitortest.Pod) {
			process := monitortest.Spec("", "sleep", "1000").Process
			process.Terminal = true
			if _, err := execIn(t, p, "a", process, monitor.ExecRequest{TTY: true}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, leave := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := monitortest.New(t)
			spec := monitortest.Spec(monitortest.Root(t), "sleep", "1000")
			if _, err := start(t, p, spec, monitor.StartRequest{ID: "a", Stdin: true}, compile.Options{}); err != nil {
				t.Fatal(err)
			}
			pid := p.PID()
			leave(t, p)
			quiet(t, pid)
		})
	}
}

// TestOrphan removes the directory of a monitor whose server is gone: nobody can ever stop
// what it runs, so it does.
func TestOrphan(t *testing.T) {
	tests := map[string]func(t *testing.T, p *monitortest.Pod){
		"after the server's end":  func(t *testing.T, p *monitortest.Pod) { p.Close(); quiet(t, p.PID()); remove(t, p) },
		"before the server's end": func(t *testing.T, p *monitortest.Pod) { remove(t, p); p.Close() },
	}
	for name, lose := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := monitortest.New(t)
			spec := monitortest.Spec(monitortest.Root(t), "sleep", "1000")
			status, err := start(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			watched := map[string]int{"monitor": pidfd(t, p.PID()), "container": pidfd(t, status.PID)}
			lose(t, p)
			for what, fd := range watched {
				n, err := 0, error(unix.EINTR)
				for errors.Is(err, unix.EINTR) {
					n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
				}
				if n != 1 || err != nil {
					t.Errorf("the %s lives on: %v", what, err)
				}
			}
		})
	}
}

func remove(t *testing.T, p *monitortest.Pod) {
	t.Helper()
	err := os.RemoveAll(p.Dir)
	for errors.Is(err, unix.ENOTEMPTY) { // the monitor has just written what it answered before
		err = os.RemoveAll(p.Dir)
	}
	if err != nil {
		t.Error(err)
	}
}

func pidfd(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestManyClients connects more clients than the monitor has descriptors.
func TestManyClients(t *testing.T) {
	p := monitortest.New(t)
	limit := unix.Rlimit{Cur: 40, Max: 4096}
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	var clients []*monitor.Client
	refused := false
	for range 60 {
		c, err := monitor.Dial(deadline(t), p.Config.Dir)
		if errors.Is(err, monitor.ErrClosed) {
			refused = true
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	if !refused {
		t.Error("none was refused")
	}
	quiet(t, p.PID())
	for _, c := range clients {
		c.Close()
	}
	if _, err := p.List(deadline(t)); err != nil {
		t.Error(err)
	}
}

// TestName looks at what lists of processes call a monitor, once it answers.
func TestName(t *testing.T) {
	p := monitortest.New(t)
	if _, err := p.List(deadline(t)); err != nil {
		t.Fatal(err)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID()))
	if err != nil || string(name) != "podmonitor\n" {
		t.Errorf("name %q, %v", name, err)
	}
}
