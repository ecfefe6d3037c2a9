package cri

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestLifeOfContainer(t *testing.T) {
	f := newFixture(t)
	events := f.events()
	pod, config := f.pod("web")
	id := f.create(pod, config, "app", shell("echo out; echo err >&2; exit 3"))
	if s := f.status(id); s.GetState() != runtimev1.ContainerState_CONTAINER_CREATED || s.GetStartedAt() != 0 {
		t.Errorf("created: %v", s)
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	s := f.exited(id)
	if s.GetExitCode() != 3 || s.GetReason() != "Error" || s.GetFinishedAt() < s.GetStartedAt() || s.GetStartedAt() < s.GetCreatedAt() {
		t.Errorf("ended: %v", s)
	}
	log := f.log("web", "app")
	if !strings.Contains(log, " stdout F out\n") || !strings.Contains(log, " stderr F err\n") {
		t.Errorf("log %q", log)
	}
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("second start: %v", err)
	}
	for range 2 {
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id}); status.Code(err) != codes.NotFound {
		t.Errorf("status of a removed container: %v", err)
	}
	want := []string{pod + " CREATED", pod + " STARTED", id + " CREATED", id + " STARTED", id + " STOPPED", id + " DELETED"}
	for _, w := range want {
		if got := <-events; got != w {
			t.Errorf("event %q, not %q", got, w)
		}
	}
}

// events subscribes and spells events out.
func (f *fixture) events() <-chan string {
	f.Helper()
	stream, err := f.GetContainerEvents(f.Context(), &runtimev1.GetEventsRequest{})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		f.Fatal(err)
	}
	out := make(chan string, 100)
	go func() {
		defer close(out)
		for {
			event, err := stream.Recv()
			if err != nil {
				return
			}
			kind := strings.TrimSuffix(strings.TrimPrefix(event.GetContainerEventType().String(), "CONTAINER_"), "_EVENT")
			out <- event.GetContainerId() + " " + kind
		}
	}()
	return out
}

func TestStartThatFails(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.create(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command = []string{"no-such-program"} })
	_, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id})
	if err == nil || !strings.Contains(err.Error(), `exec: "no-such-program": executable file not found in $PATH`) {
		t.Errorf("error %v", err)
	}
	s := f.status(id)
	if s.GetState() != runtimev1.ContainerState_CONTAINER_EXITED || s.GetExitCode() != 128 || s.GetReason() != "StartError" || !strings.Contains(s.GetMessage(), "not found in $PATH") {
		t.Errorf("status %v", s)
	}
}

func TestStop(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	stop := func(id string, timeout int64) *runtimev1.ContainerStatus {
		for range 2 {
			if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: id, Timeout: timeout}); err != nil {
				t.Error(err)
			}
		}
		return f.status(id)
	}
	// The trap must be there before the signal is.
	trapping := func(script string) func(*runtimev1.ContainerConfig) {
		return shell(script + "; echo ready; while :; do sleep 0.05; done")
	}
	polite := f.run(pod, config, "polite", trapping("trap 'exit 7' TERM"))
	f.logged("web", "polite", "ready")
	if s := stop(polite, 20); s.GetExitCode() != 7 {
		t.Errorf("polite: %v", s)
	}
	stubborn := f.run(pod, config, "stubborn", trapping("trap '' TERM"))
	f.logged("web", "stubborn", "ready")
	if s := stop(stubborn, 1); s.GetExitCode() != 137 || s.GetReason() != "Error" {
		t.Errorf("stubborn: %v", s)
	}
	other := f.run(pod, config, "other", trapping("trap 'exit 8' USR1"), func(c *runtimev1.ContainerConfig) { c.StopSignal = runtimev1.Signal_SIGNAL_SIGUSR1 })
	f.logged("web", "other", "ready")
	if s := stop(other, 20); s.GetExitCode() != 8 || s.GetStopSignal() != runtimev1.Signal_SIGNAL_SIGUSR1 {
		t.Errorf("other: %v", s)
	}
}

// logged waits until the log holds text.
func (f *fixture) logged(pod, name, text string) {
	f.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		content, _ := os.ReadFile(filepath.Join(f.logs, pod, name+".log"))
		if strings.Contains(string(content), text) {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("log of %s has no %q: %q", name, text, content)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSandboxIsolation(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) {
		c.DnsConfig = &runtimev1.DNSConfig{Servers: []string{"10.0.0.10"}, Searches: []string{"svc"}}
		c.Linux.Sysctls = map[string]string{"kernel.shmmni": "77"}
	})
	id := f.run(pod, config, "app")
	cases := map[string]struct{ command, want string }{
		"hostname": {"hostname", "web"},
		"env":      {"echo $HOSTNAME $HOME", "web /root"},
		"dns":      {"cat /etc/resolv.conf", "search svc\nnameserver 10.0.0.10"},
		"sysctl":   {"cat /proc/sys/kernel/shmmni", "77"},
		"pid one":  {"cat /proc/1/comm", "sleep"},
		"shm":      {"stat -f -c %T /dev/shm", "tmpfs"},
		"masked":   {"cat /proc/kcore /sys/firmware/* 2>/dev/null | wc -c", "0"},
		"seccomp":  {"grep Seccomp: /proc/self/status", "Seccomp:\t0"}, // a CRI client that wants a profile names it
		"caps":     {"grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb"},
		"write":    {"echo x > /file && cat /file", "x"},
	}
	for name, c := range cases {
		if got := f.exec(id, "sh", "-c", c.command); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	answer, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: pod})
	if err != nil {
		t.Fatal(err)
	}
	if ip := answer.GetStatus().GetNetwork().GetIp(); ip == "" || !strings.Contains(f.exec(id, "ip", "addr", "show", "eth0"), ip) {
		t.Errorf("ip %q", ip)
	}
}

func TestSharedPID(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
	})
	share := func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
	}
	f.run(pod, config, "one", share, shell("exec sleep 4321"))
	two := f.run(pod, config, "two", share)
	if list := f.exec(two, "ps"); !strings.Contains(list, "sleep 4321") {
		t.Errorf("processes %q", list)
	}
	if one := f.exec(two, "cat", "/proc/1/comm"); strings.Contains(one, "sleep") {
		t.Errorf("process 1 is %q", one)
	}
}

func TestTargetPID(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	target := f.run(pod, config, "app", shell("exec sleep 4321"))
	debug := f.run(pod, config, "debugger", func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: target}
	})
	if list := f.exec(debug, "ps"); !strings.Contains(list, "sleep 4321") || !strings.Contains(list, "sleep 1000") {
		t.Errorf("processes %q", list)
	}
	// The end of the target is the end of its PID namespace, and so of the debugger.
	if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: target}); err != nil {
		t.Fatal(err)
	}
	if s := f.exited(debug); s.GetExitCode() != 137 {
		t.Errorf("debugger: %v", s)
	}
	late := f.create(pod, config, "late", func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: target}
	})
	if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: late}); err == nil {
		t.Error("a container joined a target that had ended")
	}
}

func TestExecSync(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer, err := f.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo o; echo e >&2; exit 9"}})
	if err != nil || string(answer.GetStdout()) != "o\n" || string(answer.GetStderr()) != "e\n" || answer.GetExitCode() != 9 {
		t.Errorf("%v, %v", answer, err)
	}
	answer, err = f.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "head -c 20000000 /dev/zero; echo end >&2"}})
	if err != nil || len(answer.GetStdout()) != 16<<20 || string(answer.GetStderr()) != "end\n" || answer.GetExitCode() != 0 {
		t.Errorf("%d bytes, stderr %q, %v", len(answer.GetStdout()), answer.GetStderr(), err)
	}
	_, err = f.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sleep", "1000"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("timeout: %v", err)
	}
	if list := f.exec(id, "sh", "-c", "ps | grep -c '[s]leep'"); list != "1" {
		t.Errorf("%s sleeps run", list)
	}
	// A command that leaves a child with its output open has ended nevertheless.
	begin := time.Now()
	if out := f.exec(id, "sh", "-c", "sleep 500 & echo left"); out != "left" || time.Since(begin) > 10*time.Second {
		t.Errorf("%q after %s", out, time.Since(begin))
	}
	if _, err = f.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"no-such-program"}}); err == nil || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		t.Errorf("missing program: %v", err)
	}
}

// TestStopAtStart: a container that is told to end before its program can hear it still ends within its grace.
func TestStopAtStart(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	for round := range 5 {
		id := f.run(pod, config, fmt.Sprint("app", round), shell("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; trap 'exit 7' TERM; while :; do sleep 0.01; done"))
		if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: id, Timeout: 60}); err != nil {
			t.Fatal(err)
		}
		if end := f.status(id); end.GetExitCode() != 7 {
			t.Errorf("exit code %d: it did not hear its signal", end.GetExitCode())
		}
	}
}

// TestStopDuringStart: whoever stops a sandbox while a container starts finds it never started, or killed; a start that
// was cut off is no error of the container's.
func TestStopDuringStart(t *testing.T) {
	f := newFixture(t)
	for round := range 10 {
		pod, config := f.pod(fmt.Sprint("web", round))
		id := f.create(pod, config, "app")
		started := make(chan error, 1)
		go func() {
			_, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id})
			started <- err
		}()
		time.Sleep(time.Duration(round) * time.Millisecond)
		if _, err := f.StopPodSandbox(t.Context(), &runtimev1.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
			t.Fatal(err)
		}
		err := <-started
		got, lookErr := f.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id})
		switch {
		case err != nil && lookErr != nil: // never started, and removed with its sandbox
		case lookErr != nil:
			t.Errorf("started, and gone: %v", lookErr)
		case err != nil && got.GetStatus().GetState() == runtimev1.ContainerState_CONTAINER_CREATED:
		case got.GetStatus().GetExitCode() != 137:
			t.Errorf("start: %v; status %v", err, got.GetStatus())
		}
	}
}

// TestFreshContainer: what every container has mounted leaves no trace in its own layer, and it gets the kernel's usual
// timer slack whatever its monitor has.
func TestFreshContainer(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	if got := f.exec(id, "sh", "-c", "cat /proc/self/timerslack_ns; touch /mine"); got != "50000" {
		t.Errorf("timer slack %q", got)
	}
	entries, err := os.ReadDir(filepath.Join(f.cfg.RootDir, "containers", id, "upper"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "mine" {
		t.Errorf("own layer holds %v, %v", entries, err)
	}
}
