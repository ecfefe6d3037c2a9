package cri

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// eachHandler runs a test with each OCI runtime that Debian has.
func eachHandler(t *testing.T, test func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig)) {
	for _, name := range []string{"runc", "crun"} {
		t.Run(name, func(t *testing.T) {
			path := lookPath(t, name)
			if name == "crun" {
				path = withoutHybrid(t, path)
			}
			f := newFixture(t, func(c *Config) { c.RuntimeHandlers = map[string]string{name: path} })
			config := &runtimev1.PodSandboxConfig{
				Metadata: &runtimev1.PodSandboxMetadata{Name: "web", Namespace: "default", Uid: "uid"}, Hostname: "web", LogDirectory: filepath.Join(f.logs, "web"),
			}
			pod, err := f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{Config: config, RuntimeHandler: name})
			if err != nil {
				t.Fatal(err)
			}
			test(t, f, pod.GetPodSandboxId(), config)
		})
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run hack/tools.sh, or apt-get install %s", err, name)
	}
	return path
}

// withoutHybrid wraps crun, which runs on no machine whose cgroup v2 holds controllers beside those of v1: it is shown
// none. docs/runtime.md tells it to people.
func withoutHybrid(t *testing.T, crun string) string {
	const unified = "/sys/fs/cgroup/unified"
	if controllers, err := os.ReadFile(unified + "/cgroup.controllers"); err != nil || len(controllers) == 0 {
		return crun
	}
	path := filepath.Join(t.TempDir(), "crun")
	script := "#!/bin/sh\nexec unshare --mount --propagation slave sh -c 'umount " + unified + " && exec " + crun + " \"$@\"' crun \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// vanish waits until no file matches, for what is cleared up behind an answer.
func (f *fixture) vanish(pattern string) {
	f.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left, err := filepath.Glob(pattern)
		switch {
		case err != nil:
			f.Fatal(err)
		case len(left) == 0:
			return
		case time.Now().After(deadline):
			f.Fatalf("left: %v", left)
		}
	}
}

// remembered is what the OCI runtime itself knows of containers.
func (f *fixture) remembered() []string {
	f.Helper()
	list, err := filepath.Glob(filepath.Join(f.cfg.RunDir, "oci", "*", "*"))
	if err != nil {
		f.Fatal(err)
	}
	return list
}

func TestHandlerLife(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		id := f.run(pod, config, "app", shell("echo out; echo err >&2; while [ ! -e /go ]; do sleep 0.05; done; exit 3"), func(c *runtimev1.ContainerConfig) {
			c.Linux.Resources = &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}
			c.Mounts = []*runtimev1.Mount{{ContainerPath: "/etc-of-host", HostPath: "/etc", Readonly: true}}
		})
		if len(f.remembered()) != 1 {
			t.Errorf("the OCI runtime knows %v", f.remembered())
		}
		for command, want := range map[string]string{
			"hostname": "web", "echo $HOME": "/root", "cat /proc/1/comm": "sh", "ls -d /etc-of-host/passwd": "/etc-of-host/passwd", "id -u": "0",
			"grep CapEff /proc/self/status": "CapEff:\t00000000a80425fb", "stat -f -c %T /dev/shm": "tmpfs", "cat /etc/hostname": "web",
		} {
			if got := f.exec(id, "sh", "-c", command); got != want {
				t.Errorf("%s: %q, not %q", command, got, want)
			}
		}
		answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo e >&2; exit 9"}, Timeout: 20})
		if err != nil || answer.GetExitCode() != 9 || string(answer.GetStderr()) != "e\n" {
			t.Errorf("exec: %v, %v", answer, err)
		}
		if got := f.limit(id, "memory.limit_in_bytes", "memory.max"); got != "67108864" {
			t.Errorf("memory limit %s", got)
		}
		if _, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 96 << 20}}); err != nil {
			t.Error(err)
		}
		if got := f.limit(id, "memory.limit_in_bytes", "memory.max"); got != "100663296" {
			t.Errorf("memory limit %s", got)
		}
		stats, err := f.ContainerStats(t.Context(), &runtimev1.ContainerStatsRequest{ContainerId: id})
		if err != nil || stats.GetStats().GetMemory().GetUsageBytes().GetValue() == 0 {
			t.Errorf("stats %v, %v", stats, err)
		}
		_, err = f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sleep", "4321"}, Timeout: 1})
		if list := f.exec(id, "ps"); status.Code(err) != codes.DeadlineExceeded || strings.Contains(list, "sleep 4321") {
			t.Errorf("timeout: %v, processes %q", err, list)
		}
		f.vanish(filepath.Join(f.cfg.RootDir, "containers", id, "exec-*"))
		f.restart()
		f.touch(id, "/go")
		if s := f.exited(id); s.GetExitCode() != 3 || s.GetReason() != "Error" {
			t.Errorf("ended: %v", s)
		}
		if log := f.log("web", "app"); !strings.Contains(log, " stdout F out\n") || !strings.Contains(log, " stderr F err\n") {
			t.Errorf("log %q", log)
		}
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
		if left := f.remembered(); len(left) != 0 {
			t.Errorf("the OCI runtime still knows %v", left)
		}
	})
}

func TestHandlerStop(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		for _, c := range []struct {
			name, trap string
			timeout    int64
			code       int32
		}{{"polite", "trap 'exit 7' TERM", 30, 7}, {"stubborn", "trap '' TERM", 1, 137}} {
			id := f.run(pod, config, c.name, shell(c.trap+"; echo ready; while :; do sleep 0.05; done"))
			f.logged("web", c.name, "ready")
			if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: id, Timeout: c.timeout}); err != nil {
				t.Error(err)
			}
			if s := f.status(id); s.GetExitCode() != c.code {
				t.Errorf("%s: %v", c.name, s)
			}
		}
	})
}

func TestHandlerStartThatFails(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		id := f.create(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command = []string{"no-such-program"} })
		_, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id})
		if err == nil || !strings.Contains(err.Error(), "no-such-program") || !strings.Contains(err.Error(), "not found") {
			t.Errorf("error %v", err)
		}
		if s := f.status(id); s.GetExitCode() != 128 || s.GetReason() != "StartError" {
			t.Errorf("status %v", s)
		}
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
		if left := f.remembered(); len(left) != 0 {
			t.Errorf("the OCI runtime still knows %v", left)
		}
		// An end at once is no failure to start.
		for range 5 {
			id := f.run(pod, config, "short", shell("exit 5"))
			if s := f.exited(id); s.GetExitCode() != 5 || s.GetReason() != "Error" {
				t.Errorf("short: %v", s)
			}
			if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestHandlerTarget: an ephemeral container sees the processes of its target.
func TestHandlerTarget(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		target := f.run(pod, config, "app", shell("exec sleep 4321"))
		debug := f.run(pod, config, "debugger", func(c *runtimev1.ContainerConfig) {
			c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: target}
		})
		if list := f.exec(debug, "ps"); !strings.Contains(list, "sleep 4321") || !strings.Contains(list, "sleep 1000") {
			t.Errorf("processes %q", list)
		}
	})
}

// TestHandlerMonitorKilled: nothing of a container goes on without its monitor.
func TestHandlerMonitorKilled(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		id := f.run(pod, config, "app")
		process := pidOf(t, f, id)
		if err := syscall.Kill(f.monitorPID(pod), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if s := f.exited(id); s.GetReason() != "Lost" {
			t.Errorf("status %v", s)
		}
		if stat, err := os.ReadFile(filepath.Join("/proc", itoa(process), "stat")); err == nil && strings.Contains(string(stat), "(sleep)") && !strings.Contains(string(stat), "(sleep) Z") {
			t.Errorf("the process goes on: %s", stat)
		}
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
	})
}

func TestHandlers(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RuntimeHandlers = map[string]string{"other": otherRuntime(t)} })
	answer, err := f.Status(t.Context(), &runtimev1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, h := range answer.GetRuntimeHandlers() {
		names[h.GetName()] = h.GetFeatures().GetUserNamespaces()
	}
	if users, there := names["other"]; !there || users || !names[""] || !names["mayfly"] || len(names) != 3 {
		t.Errorf("handlers %v", answer.GetRuntimeHandlers())
	}
	mapping := []*runtimev1.IDMapping{{HostId: 1000000, Length: 65536}}
	_, err = f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{RuntimeHandler: "other", Config: &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: "x"}, Linux: &runtimev1.LinuxPodSandboxConfig{SecurityContext: &runtimev1.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimev1.NamespaceOption{UsernsOptions: &runtimev1.UserNamespace{Mode: runtimev1.NamespaceMode_POD, Uids: mapping, Gids: mapping}},
		}},
	}})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "user namespaces") {
		t.Errorf("user namespace: %v", err)
	}
	for name, handlers := range map[string]map[string]string{
		"no such file": {"x": "/no/such"}, "relative": {"x": "runc"}, "name of a path": {"../x": "/bin/true"}, "own name": {"mayfly": "/bin/true"}, "does not answer": {"x": "/bin/false"},
	} {
		if _, err := openHandlers(t.Context(), Config{RunDir: t.TempDir(), RuntimeHandlers: handlers}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// otherRuntime is a program that says that it can do nothing in particular.
func otherRuntime(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "runtime")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHandlerStreams(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command, c.Stdin, c.Tty = []string{"sh"}, true, true })
		s := f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "cat; echo e >&2"}, Stdin: true, Stdout: true, Stderr: true}), remotecommand.StreamProtocolV4Name)
		s.open("stdin", "stdout", "stderr")
		fmt.Fprint(s.streams["stdin"], "through\n")
		s.streams["stdin"].Close()
		if out, err := s.all("stdout"), s.all("stderr"); out != "through\n" || err != "e\n" {
			t.Errorf("stdout %q, stderr %q", out, err)
		}
		s.Close()

		s = f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: id, Cmd: []string{"sh"}, Tty: true, Stdin: true, Stdout: true}), remotecommand.StreamProtocolV4Name)
		s.open("stdin", "stdout", "resize")
		fmt.Fprint(s.streams["resize"], `{"Width":123,"Height":45}`)
		fmt.Fprint(s.streams["stdin"], "while [ \"$(stty size)\" != '45 123' ]; do sleep 0.05; done; stty size; exit\n")
		// runc tells its terminal not to add carriage returns a moment after the shell has begun, which may put it back.
		if out := s.all("stdout"); !strings.Contains(out, "45 123\r") {
			t.Errorf("terminal %q", out)
		}
		s.Close()

		s = f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: true}), remotecommand.StreamProtocolV4Name)
		s.open("stdin", "stdout", "resize")
		fmt.Fprint(s.streams["stdin"], "echo word-$((40+2)); exit 6\n")
		if out := s.all("stdout"); !strings.Contains(out, "word-42") {
			t.Errorf("attached %q", out)
		}
		s.Close()
		if end := f.exited(id); end.GetExitCode() != 6 {
			t.Errorf("ended: %v", end)
		}
	})
}

func TestHandlerMemory(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		id := f.run(pod, config, "app", shell("exec tail /dev/zero"), func(c *runtimev1.ContainerConfig) {
			c.Linux.Resources = &runtimev1.LinuxContainerResources{MemoryLimitInBytes: 32 << 20, MemorySwapLimitInBytes: 32 << 20}
		})
		if s := f.exited(id); s.GetExitCode() != 137 || s.GetReason() != "OOMKilled" {
			t.Errorf("status %v", s)
		}
	})
}
