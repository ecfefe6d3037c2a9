package cri

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"

	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The tests in files named hostile_* play containers, images and clients that mean harm, a class of known
// vulnerabilities each. What an image can hold is in hostile_image_test.go, output and numbers are in
// hostile_flood_test.go.

// TestHostileMountRace: a container of the Pod makes the place of another's mount a directory, a link into procfs and a
// link out, in turn, in a volume that both have, while the other starts (runc's CVE-2021-30465 and CVE-2025-52881).
func TestHostileMountRace(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	volume, outside := t.TempDir(), t.TempDir()
	shared := &runtimev1.Mount{HostPath: volume, ContainerPath: "/shared"}
	f.run(pod, config, "swapper", func(c *runtimev1.ContainerConfig) { c.Mounts = []*runtimev1.Mount{shared} }, shell(`cd /shared
		mkdir -p sub/place && ln -s /proc procfs && ln -s / root && ln -s ../../../../../../../..`+outside+` out && ln -s /proc/1/root/tmp magic
		while :; do for way in procfs root out magic; do mv sub kept; mv $way sub; mv sub $way; mv kept sub; done; done`))
	f.until("the swapping has begun", func() bool { return exists(filepath.Join(volume, "magic")) || exists(filepath.Join(volume, "kept")) })
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := hostMounts(t)
	started := 0
	for i := range 40 {
		name := fmt.Sprint("victim", i)
		id, err := f.attempt(pod, config, busybox, name, func(c *runtimev1.ContainerConfig) {
			c.Mounts = []*runtimev1.Mount{shared, {HostPath: source, ContainerPath: "/shared/sub/place"}}
			c.Linux.SecurityContext.MaskedPaths = []string{"/proc/kcore", "/proc/timer_list"}
		})
		if err == nil {
			started++
			f.kernels(name, id)
		}
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
	}
	if started == 0 {
		t.Error("none started: that proves nothing")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("the directory outside holds %v, %v", entries, err)
	}
	if after := hostMounts(t); after != before {
		t.Errorf("mounts of the host before\n%s\nafter\n%s", before, after)
	}
}

// TestHostileExecutable: root in a container that sees the Pod's other processes tries to write what they are executed
// from, the monitor's file among them, and to run it (CVE-2019-5736).
func TestHostileExecutable(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web", func(c *runtimev1.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
		c.Linux.SecurityContext.Privileged = true
	})
	trusted := func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD
		c.Linux.SecurityContext.Privileged = true
	}
	monitor := fmt.Sprintf("/proc/%d/exe", f.monitorPID(pod))
	before := sum(t, monitor)
	attacker := f.run(pod, config, "attacker", trusted, shell("while :; do for p in /proc/[0-9]*; do echo '#!/bin/sh' >$p/exe; dd if=/dev/zero of=$p/exe bs=1 count=4 conv=notrunc; done; done 2>/dev/null"))
	for i := range 20 {
		// The program that the new process has before its own is the monitor's.
		id, err := f.attempt(pod, config, busybox, fmt.Sprint("self", i), trusted, func(c *runtimev1.ContainerConfig) { c.Command = []string{"/proc/self/exe", "-socket", "/tmp/s"} })
		if err == nil {
			f.exited(id)
		}
		if got := f.exec(attacker, "echo", "well"); got != "well" {
			t.Errorf("exec says %q", got)
		}
	}
	answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: attacker, Cmd: []string{"sh", "-c", "echo x >/proc/1/exe"}, Timeout: 20})
	if err != nil || answer.GetExitCode() == 0 {
		t.Errorf("the pause process's executable can be written: %v, %v", answer, err)
	}
	if sum(t, monitor) != before {
		t.Error("the monitor's executable was changed")
	}
}

func sum(t *testing.T, path string) (out [32]byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

// TestHostileDescriptors: a process of a container has three descriptors and no other, however it is started
// (CVE-2024-21626).
func TestHostileDescriptors(t *testing.T) {
	f := newFixture(t)
	for _, mode := range []runtimev1.NamespaceMode{runtimev1.NamespaceMode_CONTAINER, runtimev1.NamespaceMode_POD} {
		share := func(c *runtimev1.ContainerConfig) { c.Linux.SecurityContext.NamespaceOptions.Pid = mode }
		pod, config := f.pod(mode.String(), func(c *runtimev1.PodSandboxConfig) { c.Linux.SecurityContext.NamespaceOptions.Pid = mode })
		target := ""
		for _, change := range []func(*runtimev1.ContainerConfig){
			func(*runtimev1.ContainerConfig) {},
			func(c *runtimev1.ContainerConfig) { c.Tty = true },
			func(c *runtimev1.ContainerConfig) { c.Stdin = true },
			func(c *runtimev1.ContainerConfig) { c.Tty, c.Stdin = true, true },
			func(c *runtimev1.ContainerConfig) {
				c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: target}
			},
		} {
			target = f.run(pod, config, fmt.Sprint("app-", len(f.server.containers.Of(pod))), share, change)
			c, err := f.server.containers.Get(target)
			if err != nil {
				t.Fatal(err)
			}
			if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID())); err != nil || len(entries) != 3 {
				t.Errorf("%v: a process has %v, %v", mode, entries, err)
			}
			// The fourth is of the directory that is read.
			if got := f.exec(target, "ls", "/proc/self/fd"); got != "0\n1\n2\n3" {
				t.Errorf("%v: a command has %q", mode, got)
			}
		}
	}
}

// TestHostileDirectory: working directories that lead by descriptors and links to where the host's files are
// (CVE-2024-21626). From where a process of the container stands there is no way to them.
func TestHostileDirectory(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.WriteFile(marker, []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	directories := []string{"/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/thread-self/root/..", "/proc/self/root/../..", "/../..", "/proc/self/ns", "/proc/self/task/1/root"}
	for fd := range 16 {
		directories = append(directories, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fd/%d/../../..", fd))
	}
	image := f.craft("directories", "", []tar.Header{link("cwd", "/proc/self/fd/7"), link("up", "../../../.."), link("host", filepath.Dir(marker))}, nil)
	for i, dir := range append(directories, "/cwd", "/up", "/host", "/cwd/..") {
		id, err := f.attempt(pod, config, image, fmt.Sprint("app", i), func(c *runtimev1.ContainerConfig) { c.WorkingDir = dir })
		if err != nil {
			continue
		}
		look := "for up in . .. ../.. ../../../../../../../..; do cat $up" + marker + " $up/marker; done 2>/dev/null"
		if answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", look}, Timeout: 20}); err == nil && len(answer.GetStdout()) > 0 {
			t.Errorf("%s: a command sees %q", dir, answer.GetStdout())
		}
		c, err := f.server.containers.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{marker, "/marker"} {
			if content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cwd%s", c.PID(), path)); err == nil {
				t.Errorf("%s: the first process sees %q", dir, content)
			}
		}
	}
}

// TestHostileDevices: volumes in the places of the kernel's own hold a null device that is none, terminals that are
// none, a procfs that is none (runc's CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
func TestHostileDevices(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	plant := map[string]func(path string) error{
		"file":  func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"link":  func(path string) error { return os.Symlink(outside, path) },
		"magic": func(path string) error { return os.Symlink("/proc/sysrq-trigger", path) },
		"fifo":  func(path string) error { return unix.Mkfifo(path, 0o666) },
		"other": func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
	}
	for place, names := range map[string][]string{"/dev": {"null", "ptmx", "console", "pts/ptmx"}, "/dev/pts": {"ptmx", "0"}, "/proc": {"self/fd/7", "kcore", "sys/kernel/core_pattern", "sysrq-trigger"}} {
		for kind, make := range plant {
			volume := t.TempDir()
			for _, name := range names {
				path := filepath.Join(volume, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := make(path); err != nil {
					t.Fatal(err)
				}
			}
			for _, tty := range []bool{false, true} {
				name := strings.ReplaceAll(fmt.Sprint(place, "-", kind, "-", tty), "/", "-")
				id, err := f.attempt(pod, config, busybox, name, func(c *runtimev1.ContainerConfig) {
					c.Tty, c.Mounts = tty, []*runtimev1.Mount{{HostPath: volume, ContainerPath: place}}
					c.Linux.SecurityContext.MaskedPaths, c.Linux.SecurityContext.ReadonlyPaths = []string{"/proc/kcore", "/sys/firmware"}, []string{"/proc/sys"}
				})
				if err == nil && (place == "/dev" || place == "/dev/pts" && tty) { // with a mask or a terminal that is none
					t.Errorf("%s starts", name)
				}
				if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "theirs" {
		t.Errorf("the file outside holds %q, %v", content, err)
	}
	if st, err := os.Lstat(outside); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file outside is %v, %v", st, err)
	}
}

// TestHostileLogs: links in the place of a log, of a directory on the way to it, and of one that was rotated
// (GO-2026-5622). What they point to is not written.
func TestHostileLogs(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.logs, "web")
	for path, target := range map[string]string{"link.log": victim, "dir": outside, "device.log": "/dev/kmsg"} {
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo.log"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, path := range []string{"link.log", "dir/app.log", "dir/new/app.log", "device.log", "fifo.log", "../escaped.log", "/etc/absolute.log", "dir/../../../climbed.log"} {
		answer, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
			Metadata: &runtimev1.ContainerMetadata{Name: fmt.Sprint("app", i)}, Image: &runtimev1.ImageSpec{Image: busybox}, Command: []string{"echo", "written"}, LogPath: path,
		}})
		if err != nil {
			continue
		}
		if _, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: answer.GetContainerId()}); err == nil {
			t.Errorf("a container with the log %s starts", path)
		}
	}
	id := f.run(pod, config, "app", shell("while [ ! -e /stop ]; do echo tick; sleep 0.01; done"))
	f.logged("web", "app", "tick")
	current := filepath.Join(dir, "app.log")
	if err := os.Rename(current, current+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, current); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReopenContainerLog(t.Context(), &runtimev1.ReopenContainerLogRequest{ContainerId: id}); err == nil {
		t.Error("a log that has become a link was opened")
	}
	f.touch(id, "/stop")
	if end := f.exited(id); end.GetExitCode() != 0 {
		t.Errorf("the container ended: %v", end)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("the directory outside holds %v, %v", entries, err)
	}
	if st, err := os.Stat(victim); err != nil || st.Size() != 0 {
		t.Errorf("the file outside: %v, %v", st, err)
	}
}
