package monitor_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	"golang.org/x/sys/unix"
)

// TestHostsNullKeepsItsOwner starts a container of a user's, whose standard input is the host's /dev/null.
func TestHostsNullKeepsItsOwner(t *testing.T) {
	before := owner(t, os.DevNull)
	p := monitortest.New(t)
	spec := monitortest.Spec(monitortest.Root(t), "sh", "-c", "echo to a file of my own >/dev/stdout")
	spec.Process.User.UID, spec.Process.User.GID = 4321, 4321
	status, log := run(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{})
	if after := owner(t, os.DevNull); after != before {
		if err := os.Chown(os.DevNull, int(before[0]), int(before[1])); err != nil {
			t.Error(err)
		}
		t.Errorf("/dev/null was of %v and is of %v", before, after)
	}
	if status.ExitCode != 0 || log != "stdout F to a file of my own\n" {
		t.Errorf("exit code %d, log %q", status.ExitCode, log)
	}
}

func owner(t *testing.T, path string) [2]uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint32{st.Uid, st.Gid}
}

// TestCommandByDescriptor looks for a descriptor of the host's through which a command could be found: execve looks
// the path up before it closes what is close-on-exec.
func TestCommandByDescriptor(t *testing.T) {
	p := monitortest.New(t)
	root := monitortest.Root(t)
	for fd := range 64 {
		for _, format := range []string{"/proc/self/fd/%d", "/proc/self/fd/%d/../../../bin/sh", "/proc/self/fd/%d/bin/sh"} {
			command := fmt.Sprintf(format, fd)
			_, err := start(t, p, monitortest.Spec(root, command), monitor.StartRequest{ID: command}, compile.Options{})
			refused := errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOTDIR)
			if !refused || fd > 2 && !errors.Is(err, syscall.ENOENT) {
				t.Fatalf("%s: %v", command, err)
			}
		}
	}
}
