package monitor_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const hostRoot = 100_000

func mapping() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: hostRoot, Size: 65536}}
}

// userNamespaces keeps namespaces owned by a new user namespace for the test's duration.
func userNamespaces(t *testing.T) map[specs.LinuxNamespaceType]string {
	t.Helper()
	content, err := monitortest.Build()
	if err != nil {
		t.Fatal(err)
	}
	executable, err := monitor.NewExecutable(content)
	if err != nil {
		t.Fatal(err)
	}
	defer executable.Close()
	dir, paths := t.TempDir(), map[specs.LinuxNamespaceType]string{}
	err = executable.NewUserNamespace(mapping(), mapping(), unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS, func(pid int) error {
		for kind, name := range map[specs.LinuxNamespaceType]string{specs.UserNamespace: "user", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"} {
			path := filepath.Join(dir, name)
			if err := monitor.BindNamespace(pid, name, path); err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
			paths[kind] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// userSpec is a container in them.
func userSpec(paths map[specs.LinuxNamespaceType]string, root string, args ...string) *specs.Spec {
	spec := monitortest.Spec(root, args...)
	spec.Hostname = ""
	for i, ns := range spec.Linux.Namespaces {
		spec.Linux.Namespaces[i].Path = paths[ns.Type]
	}
	spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace, Path: paths[specs.UserNamespace]})
	spec.Linux.UIDMappings, spec.Linux.GIDMappings = mapping(), mapping()
	spec.Linux.Seccomp = containerd.DefaultProfile(spec)
	return spec
}

func TestUserNamespace(t *testing.T) {
	p := monitortest.New(t)
	paths := userNamespaces(t)
	shared, upper, work, target := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	script := `cat /proc/self/uid_map
echo user $(id -u) $(id -g)
stat -c '%n %u %g' / /bin /bin/busybox /dev /dev/pts /dev/mqueue /dev/null /mapped/file /plain/file /made
touch /new /mapped/new /dev/mqueue/q && stat -c '%n %u' /new /mapped/new /dev/mqueue/q
echo through > /dev/stdout
echo dropped > /dev/null
ls /sys/class/net
grep -c . /proc/mounts > /dev/null
touch /plain/x || echo refused
cat /plain/file || echo unreadable
echo 1 > /proc/sys/kernel/pid_max || echo hidden
mount -t tmpfs x /mnt || echo no-mount
grep CapEff /proc/self/status`
	spec := userSpec(paths, target, "sh", "-c", script)
	for name, option := range map[string]string{"/mapped": "idmap", "/plain": "rprivate"} {
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: name, Type: "bind", Source: shared, Options: []string{"rbind", option}})
	}
	spec.Process.Cwd = "/made"
	overlay := &compile.Overlay{Lower: []string{monitortest.Root(t)}, Upper: upper, Work: work}
	status, log := run(t, p, spec, monitor.StartRequest{ID: "a"}, compile.Options{Overlay: overlay})
	if status.ExitCode != 0 {
		t.Errorf("%+v", status)
	}
	for _, want := range []string{
		"0     100000      65536", "user 0 0", "F / 0 0", "F /bin 0 0", "F /bin/busybox 0 0", "F /dev 0 0", "F /dev/pts 0 0", "F /dev/mqueue 0 0",
		"F /mapped/file 0 0", "F /plain/file 65534 65534", "F /made 0 0", "F /new 0", "F /mapped/new 0", "F /dev/mqueue/q 0", "F through", "F lo",
		"F refused", "F unreadable", "F hidden", "F no-mount",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	for path, want := range map[string]uint32{filepath.Join(upper, "new"): hostRoot, filepath.Join(shared, "new"): 0} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Uid != want {
			t.Errorf("%s belongs to %d on the host, %v", path, st.Uid, err)
		}
	}
}

// TestUserNamespaceShared starts a debugger in a container's user and PID namespaces, and
// executes a process, with and without a terminal.
func TestUserNamespaceShared(t *testing.T) {
	p := monitortest.New(t)
	paths := userNamespaces(t)
	first := userSpec(paths, monitortest.Root(t), "sleep", "1000")
	first.Process.User = specs.User{UID: 1000, GID: 1000}
	first.Process.NoNewPrivileges = true
	status, err := start(t, p, first, monitor.StartRequest{ID: "a"}, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(status.PID), &st); err != nil || st.Uid != hostRoot+1000 {
		t.Errorf("the process belongs to %d on the host, %v", st.Uid, err)
	}
	paths[specs.PIDNamespace] = "/proc/" + strconv.Itoa(status.PID) + "/ns/pid"
	debugger := userSpec(paths, monitortest.Root(t), "sh", "-c", "cat /proc/1/cmdline; id -u; kill 1 && sleep 1; readlink /proc/self/ns/user; readlink /proc/1/ns/user")
	debugger.Process.Capabilities.Effective = append(debugger.Process.Capabilities.Effective, "CAP_SYS_PTRACE")
	debugger.Process.Capabilities.Permitted = debugger.Process.Capabilities.Effective
	debugger.Process.Capabilities.Bounding = debugger.Process.Capabilities.Effective
	_, log := run(t, p, debugger, monitor.StartRequest{ID: "debugger"}, compile.Options{})
	if !strings.Contains(log, "sleep\x001000") || !strings.Contains(log, "\x000\n") || strings.Count(log, "user:[") != 2 {
		t.Errorf("log\n%s", log)
	}
	for _, tty := range []bool{false, true} {
		process := *first.Process
		process.Args, process.Terminal = []string{"sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/stderr; grep CapBnd /proc/self/status"}, tty
		program, files, err := compile.Exec(&process, compile.ExecOptions{Seccomp: first.Linux.Seccomp, UIDMappings: mapping(), GIDMappings: mapping()})
		if err != nil {
			t.Fatal(err)
		}
		e, err := p.Exec(deadline(t), monitor.ExecRequest{ID: "a", Program: program, Files: files, TTY: tty, Stdout: true})
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		out, source := bytes.Buffer{}, e.Stdout
		if tty {
			source = e.TTY
		}
		_, _ = out.ReadFrom(source) // a terminal ends with EIO
		code, err := e.Wait(context.Background())
		e.Close()
		if err != nil || code != 0 || !strings.Contains(out.String(), "1000") || !strings.Contains(out.String(), "100000") || strings.Contains(out.String(), "ffffffff") {
			t.Errorf("terminal %v: code %d, %v\n%s", tty, code, err, out.String())
		}
	}
	if _, _, err := compile.Container(func() *specs.Spec { s := userSpec(paths, "/", "x"); s.Process.User.UID = 70000; return s }(), compile.Options{}); err == nil {
		t.Error("a user beyond the mapping compiles")
	}
	_ = p.Signal(deadline(t), "a", int(syscall.SIGKILL), false)
}
