package monitor_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ends fails unless the process behind each pidfd ends.
func ends(t *testing.T, watched map[string]int) {
	t.Helper()
	for what, fd := range watched {
		n, err := 0, error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		}
		if n != 1 || err != nil {
			t.Errorf("the %s lives on: %v", what, err)
		}
	}
}

// TestMonitorDies kills a monitor: no process of its containers may run unwatched, whoever
// it runs as and whatever PID namespace it is in.
func TestMonitorDies(t *testing.T) {
	p := monitortest.New(t)
	root := monitortest.Root(t)
	plain := monitortest.Spec(root, "sleep", "1000")
	user := monitortest.Spec(root, "sleep", "1000")
	user.Process.User, user.Process.NoNewPrivileges = specs.User{UID: 1000, GID: 1000}, true
	user.Linux.Seccomp = containerd.DefaultProfile(user)
	beside := monitortest.Spec(root, "sleep", "1000")
	host := monitortest.Spec(root, "sleep", "1000")
	host.Linux.Namespaces = host.Linux.Namespaces[1:]
	watched := map[string]int{}
	for _, c := range []struct {
		id   string
		spec *specs.Spec
	}{{"plain", plain}, {"user", user}, {"beside", beside}, {"host", host}} {
		status, err := start(t, p, c.spec, monitor.StartRequest{ID: c.id}, compile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		watched[c.id] = pidfd(t, status.PID)
		if c.id == "plain" { // whose PID namespace the one after the next joins
			beside.Linux.Namespaces[0].Path = fmt.Sprintf("/proc/%d/ns/pid", status.PID)
		}
	}
	process := *user.Process
	e, err := execIn(t, p, "user", &process, monitor.ExecRequest{})
	if err != nil {
		t.Fatal(err)
	}
	watched["exec"] = pidfd(t, e.PID)
	if err := unix.Kill(p.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ends(t, watched)
	<-p.Done()
	list, err := monitor.ReadState(p.Config.Dir)
	if err != nil || len(list) != 4 {
		t.Errorf("state %v, %v", list, err)
	}
	for _, s := range list {
		if s.Phase != monitor.Lost {
			t.Errorf("state %+v", s)
		}
	}
}

// TestHangUp lets a server die that holds the terminal of a process.
func TestHangUp(t *testing.T) {
	p := monitortest.New(t)
	spec := sleeper(t, p, "a")
	process := *spec.Process
	process.Args, process.Terminal = []string{"sh", "-c", "trap 'exit 3' HUP; echo ready; while :; do sleep 0.05; done"}, true
	e, err := execIn(t, p, "a", &process, monitor.ExecRequest{TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	watched := map[string]int{"process": pidfd(t, e.PID)}
	_ = e.TTY.SetReadDeadline(time.Now().Add(20 * time.Second))
	for lines := bufio.NewScanner(e.TTY); lines.Scan() && !strings.Contains(lines.Text(), "ready"); {
	}
	p.Close() // all that a dead server leaves are closed descriptors
	e.Close()
	ends(t, watched)
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); err != nil {
		t.Errorf("the monitor: %v", err)
	}
}
