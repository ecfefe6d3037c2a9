package launch_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/launch"
	"golang.org/x/sys/unix"
)

// stopped forks, tells so on stdout, waits for stdin and goes on with the command.
func stopped(command string) *launch.Program {
	b := launch.NewBuilder()
	namespace := b.AddFile()
	b.Must(launch.OpFork, "fork", namespace)
	b.Must(unix.SYS_WRITE, "tell", launch.FileArg(launch.FileStdout), b.Text("x"), launch.Int(1))
	b.Must(unix.SYS_READ, "wait", launch.FileArg(launch.FileStdin), b.Space(8), launch.Int(1))
	b.Must(unix.SYS_EXECVE, "exec", b.Text(command), b.Texts("true"), b.Texts())
	return b.Program()
}

type outcome struct {
	pid, pidfd int
	err        error
}

// launchStopped gives the program's child, and what lets it go on.
func launchStopped(t *testing.T, p *launch.Program) (done <-chan outcome, resume func()) {
	t.Helper()
	namespace, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	in, resumer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	told, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{namespace, in, resumer, told, out} {
			f.Close()
		}
	})
	result, c := make(chan outcome, 1), code(t, p)
	files := []int{int(in.Fd()), int(out.Fd()), -1, -1, -1, -1, int(namespace.Fd())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var o outcome
		o.pid, o.pidfd, o.err = new(launch.Runner).Run(c, files)
		result <- o
	}()
	if _, err := told.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return result, func() { resumer.Write([]byte("x")) }
}

func reap(t *testing.T, pid int) int {
	t.Helper()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return status.ExitStatus()
}

// children of this process; with memory of their own, or with ours.
func children(t *testing.T) (apart, sharing []int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lists {
		content, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(content)) {
			pid, _ := strconv.Atoi(word)
			const kcmpVM = 1
			differ, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpVM, 0, 0, 0)
			if errno != 0 {
				t.Fatalf("kcmp: %v", errno)
			}
			if differ == 0 {
				sharing = append(sharing, pid)
			} else {
				apart = append(apart, pid)
			}
		}
	}
	return apart, sharing
}

// TestForkSharesNothing looks at the child at the time when others of its PID namespace see it: whoever may trace it
// must reach neither our memory nor our files.
func TestForkSharesNothing(t *testing.T) {
	ours, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	secret := make([]byte, 1<<20)
	rand.Read(secret)
	done, resume := launchStopped(t, stopped("/bin/true"))
	apart, sharing := children(t)
	if len(apart) != 1 || len(sharing) != 1 {
		t.Fatalf("children with memory of their own %v, with ours %v", apart, sharing)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", apart[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 3+3 { // the standard ones, its streams, its namespace
		t.Errorf("the child has %d files: %v", len(entries), entries)
	}
	for _, e := range entries {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", apart[0], e.Name())); to == "/" {
			t.Error("the child has a file of ours")
		}
	}
	if bytes.Contains(memoryOf(t, apart[0]), secret[:32]) {
		t.Error("the child has a copy of our memory")
	}
	runtime.KeepAlive(secret)
	resume()
	o := <-done
	if o.err != nil || o.pid != apart[0] {
		t.Errorf("pid %d, %v; want %d", o.pid, o.err, apart[0])
	}
	unix.Close(o.pidfd)
	if code := reap(t, o.pid); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := unix.Wait4(sharing[0], nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("the first child was not reaped: %v", err)
	}
}

// memoryOf reads all that a process can write to.
func memoryOf(t *testing.T, pid int) []byte {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	var all []byte
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n == 3 && strings.HasPrefix(mode, "rw") {
			part := make([]byte, to-from)
			n, _ := memory.ReadAt(part, from)
			all = append(all, part[:n]...)
		}
	}
	if len(all) == 0 {
		t.Fatal("the child has no memory")
	}
	return all
}

func TestForkTellsFailure(t *testing.T) {
	p := stopped("/bin/no-such-command")
	done, resume := launchStopped(t, p)
	resume()
	o := <-done
	f, ok := o.err.(*launch.Failure)
	if !ok || f.Errno != unix.ENOENT || f.Call != len(p.Calls)-1 {
		t.Errorf("got %#v", o.err)
	}
	if o.pidfd >= 0 {
		t.Errorf("pidfd %d", o.pidfd)
	}
	if code := reap(t, o.pid); code != 127 {
		t.Errorf("exit code %d", code)
	}
}

func BenchmarkFork(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	namespace, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		b.Fatal(err)
	}
	defer namespace.Close()
	builder := launch.NewBuilder()
	builder.Must(launch.OpFork, "fork", builder.AddFile())
	builder.Must(unix.SYS_EXECVE, "exec", builder.Text("/bin/busybox"), builder.Texts("true"), builder.Texts())
	c := code(b, builder.Program())
	files := []int{-1, -1, -1, -1, -1, -1, int(namespace.Fd())}
	var runner launch.Runner
	defer runner.Free()
	for b.Loop() {
		pid, pidfd, err := runner.Run(c, files)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(pidfd)
		unix.Wait4(pid, nil, 0, nil)
	}
}
