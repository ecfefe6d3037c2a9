package launch_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mayfly-run/mayfly/internal/launch"
	"golang.org/x/sys/unix"
)

// echo is a program that runs busybox echo with its output on FileStdout.
func echo(nr uint32) *launch.Program {
	b := launch.NewBuilder()
	b.Must(unix.SYS_DUP3, "stdout", launch.FileArg(launch.FileStdout), launch.Int(1), launch.Int(0))
	b.Must(nr, "exec /bin/busybox", b.Text("/bin/busybox"), b.Texts("echo", "hello"), b.Texts("A=1"))
	return b.Program()
}

// code is a program as a monitor gets it.
func code(t testing.TB, p *launch.Program) launch.Code {
	t.Helper()
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c, err := launch.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, p *launch.Program, stdout *os.File) (int, error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	files := make([]int, launch.FirstFile+p.Files)
	for i := range files {
		files[i] = -1
	}
	files[launch.FileStdout] = int(stdout.Fd())
	pid, pidfd, err := new(launch.Runner).Run(code(t, p), files)
	if pid == 0 {
		return 0, err
	}
	unix.Close(pidfd)
	var status unix.WaitStatus
	if _, werr := unix.Wait4(pid, &status, 0, nil); werr != nil {
		t.Fatal(werr)
	}
	return status.ExitStatus(), err
}

func TestRun(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	code, err := run(t, echo(unix.SYS_EXECVE), w)
	w.Close()
	if err != nil || code != 0 {
		t.Fatalf("code %d, %v", code, err)
	}
	out := make([]byte, 100)
	n, _ := r.Read(out)
	if got := string(out[:n]); got != "hello\n" {
		t.Errorf("output %q", got)
	}
}

func TestRunFails(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	tests := map[string]struct {
		build func(b *launch.Builder)
		call  int
		errno syscall.Errno
	}{
		"must":  {func(b *launch.Builder) { b.Must(unix.SYS_CHDIR, "", b.Text("/nowhere")) }, 0, unix.ENOENT},
		"may":   {func(b *launch.Builder) { b.May(unix.SYS_CHDIR, "", b.Text("/nowhere")) }, 0, unix.ENOEXEC},
		"equal": {func(b *launch.Builder) { b.Equal(b.Space(8), 4, 0xff, 1, "") }, 0, unix.EXDEV},
		"try keeps the most telling": {func(b *launch.Builder) {
			b.Try(unix.SYS_CHDIR, "", b.Text("/nowhere"))
			b.Try(unix.SYS_UMOUNT2, "", b.Text("/"), launch.Int(0xffff))
			b.Try(unix.SYS_CHDIR, "", b.Text("/nowhere"))
			b.Fail(unix.ENOENT, "")
		}, 3, unix.EINVAL},
		"else skips": {func(b *launch.Builder) {
			b.Else(1, unix.SYS_CHDIR, "", b.Text("/"))
			b.Fail(unix.EPERM, "")
			b.Fail(unix.EBUSY, "")
		}, 2, unix.EBUSY},
		"found": {func(b *launch.Builder) {
			b.IfFound(func(launch.Arg) { b.Fail(unix.EBUSY, "") }, unix.SYS_CHDIR, "", b.Text("/"))
		}, 2, unix.EBUSY},
		"not found": {func(b *launch.Builder) {
			b.IfFound(func(launch.Arg) { b.Fail(unix.EBUSY, "") }, unix.SYS_CHDIR, "", b.Text("/nowhere"))
			b.Fail(unix.EPERM, "")
		}, 3, unix.EPERM},
		"not to be looked for": {func(b *launch.Builder) {
			b.IfFound(func(launch.Arg) { b.Fail(unix.EBUSY, "") }, unix.SYS_UMOUNT2, "", b.Text("/"), launch.Int(0xffff))
		}, 0, unix.EINVAL},
		"slots": {func(b *launch.Builder) {
			s := b.Keep(unix.SYS_OPENAT, "", launch.Int(unix.AT_FDCWD), b.Text("/"), launch.Int(unix.O_PATH))
			b.Must(unix.SYS_FCHDIR, "", s)
			b.Fail(unix.EBUSY, "")
		}, 2, unix.EBUSY},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := launch.NewBuilder()
			tt.build(b)
			_, err := run(t, b.Program(), null)
			if diff := cmp.Diff(&launch.Failure{Call: tt.call, Errno: tt.errno}, err); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	got := echo(unix.SYS_EXECVE).String()
	for _, want := range []string{
		"dup3(stdout, 1)  # stdout\n",
		`execve("/bin/busybox", ["echo" "hello"], ["A=1"])  # exec /bin/busybox`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestEncode(t *testing.T) {
	p := echo(unix.SYS_EXECVE)
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := code(t, p)
	for i := range p.Calls {
		p.Calls[i].Note = ""
	}
	if diff := cmp.Diff(p, c.Program()); diff != "" {
		t.Error(diff)
	}
	for n := range b {
		if _, err := launch.Decode(b[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := echo(unix.SYS_EXECVE).MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := launch.Decode(b)
		if err != nil {
			return
		}
		p := c.Program()
		_ = p.String()
		again, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := launch.Decode(again); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	c := code(b, echo(unix.SYS_EXECVE))
	files := []int{-1, int(null.Fd()), -1, -1, -1, -1}
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
