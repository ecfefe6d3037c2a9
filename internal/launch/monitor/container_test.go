package monitor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/monitortest"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestContainer looks at a container from inside.
func TestContainer(t *testing.T) {
	p := monitortest.New(t)
	shared := t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "file"), []byte("from outside\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		script string
		change func(root string, s *specs.Spec)
		code   int
		want   []string
	}{
		"bind": {
			script: "cat /data/deep/file; echo x > /data/deep/file; cat /etc/one",
			change: func(_ string, s *specs.Spec) {
				s.Mounts = append(s.Mounts,
					specs.Mount{Destination: "/data/deep", Type: "bind", Source: shared, Options: []string{"rbind", "rprivate", "ro"}},
					specs.Mount{Destination: "/etc/one", Type: "bind", Source: filepath.Join(shared, "file"), Options: []string{"bind", "rro"}})
			},
			want: []string{"stdout F from outside\n", "Read-only file system", "stdout F from outside\n"},
		},
		"user": {
			script: "id -u; id -g; id -G; cd; touch /x; echo hi > /dev/stdout",
			change: func(_ string, s *specs.Spec) {
				s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 2002}}
				s.Process.Capabilities = &specs.LinuxCapabilities{}
			},
			want: []string{"F 1000\n", "F 1001\n", "F 1001 2002\n", "/x: Permission denied", "stdout F hi\n"},
		},
		"capabilities": {
			script: "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status",
			change: func(_ string, s *specs.Spec) {
				s.Process.NoNewPrivileges = true
				s.Process.User.UID = 1000
				c := []string{"CAP_NET_BIND_SERVICE"}
				s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: c, Effective: c, Permitted: c, Inheritable: c, Ambient: c}
			},
			want: []string{"CapEff:\t0000000000000400", "CapBnd:\t0000000000000400", "CapAmb:\t0000000000000400", "NoNewPrivs:\t1"},
		},
		"seccomp": {
			script: "grep Seccomp: /proc/self/status; mount -t tmpfs x /mnt || echo refused; echo done",
			change: func(_ string, s *specs.Spec) { s.Linux.Seccomp = containerd.DefaultProfile(s) },
			want:   []string{"Seccomp:\t2", "F refused", "F done"},
		},
		"masked": {
			script: "cat /proc/version | wc -c; ls /sys/firmware | wc -l; ls -ld /proc/version; echo 1 > /proc/sys/kernel/domainname",
			change: func(_ string, s *specs.Spec) { s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/proc/version") },
			code:   1,
			want:   []string{"F 0\n", "Read-only file system", "crw-rw-rw-"},
		},
		"read-only root": {
			script: "touch /x; touch /dev/shm/y && echo shm",
			change: func(_ string, s *specs.Spec) {
				s.Root.Readonly = true
				s.Mounts = append(s.Mounts,
					specs.Mount{Destination: "/etc/made", Type: "bind", Source: filepath.Join(shared, "file"), Options: []string{"bind"}},
					specs.Mount{Destination: "/made", Type: "bind", Source: shared, Options: []string{"bind"}})
			},
			want: []string{"/x: Read-only file system", "F shm"},
		},
		"working directory is made": {
			script: "echo $PWD",
			change: func(_ string, s *specs.Spec) { s.Process.Cwd = "/a/b/c" },
			want:   []string{"F /a/b/c\n"},
		},
		"signal": {script: "kill -9 $$; sleep 5", change: func(_ string, s *specs.Spec) {
			s.Linux.Namespaces = s.Linux.Namespaces[1:] // PID 1 of a namespace does not die of its own signals
		}, code: 137},
		"dangling link": {
			script: "cat /etc/resolv.conf",
			change: func(root string, s *specs.Spec) {
				link(t, root, "etc/resolv.conf", "../run/nowhere/stub")
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/etc/resolv.conf", Type: "bind", Source: filepath.Join(shared, "file"), Options: []string{"bind", "ro"}})
			},
			want: []string{"F from outside\n"},
		},
		"very many devices": {
			script: "ls /dev/many | wc -l",
			change: func(_ string, s *specs.Spec) {
				for i := range 500 {
					s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: fmt.Sprintf("/dev/many/%d", i), Type: "c", Major: 1, Minor: 3})
				}
			},
			want: []string{"F 500\n"},
		},
		"no descriptor is left": {script: "ls /proc/self/fd | wc -l; readlink /proc/self/root", want: []string{"F 4\n"}},
		"umask":                 {script: "umask", want: []string{"F 0022\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := monitortest.Root(t)
			spec := monitortest.Spec(root, "sh", "-c", tt.script)
			if tt.change != nil {
				tt.change(root, spec)
			}
			status, log := run(t, p, spec, monitor.StartRequest{ID: strings.ReplaceAll(name, " ", "-")}, compile.Options{})
			if status.ExitCode != tt.code {
				t.Errorf("exit code %d\n%s", status.ExitCode, log)
			}
			for _, want := range tt.want {
				if !strings.Contains(log, want) {
					t.Errorf("no %q in\n%s", want, log)
				}
			}
		})
	}
}

func link(t *testing.T, root, name, target string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestEscape starts images that try to reach the host.
func TestEscape(t *testing.T) {
	p := monitortest.New(t)
	outside := t.TempDir()
	tests := map[string]struct {
		change func(root string, s *specs.Spec)
		errno  syscall.Errno // 0 when it starts, inside
	}{
		"dev is a link":  {func(root string, _ *specs.Spec) { link(t, root, "dev", outside) }, syscall.ELOOP},
		"proc is a link": {func(root string, _ *specs.Spec) { link(t, root, "proc", "/bin") }, syscall.ELOOP},
		"sys is a link":  {func(root string, _ *specs.Spec) { link(t, root, "sys", outside) }, syscall.ELOOP},
		"masked behind a link": {func(root string, s *specs.Spec) {
			link(t, root, "secret", "etc")
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/secret/passwd")
		}, syscall.ELOOP},
		"read-only behind a link": {func(root string, s *specs.Spec) {
			link(t, root, "secret", "etc")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/secret/passwd")
		}, syscall.ELOOP},
		"masked that is not there": {func(_ string, s *specs.Spec) {
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/no/where", "/bin/busybox/x")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/no/where", "/bin/busybox/x")
		}, 0},
		"target climbs": {func(root string, s *specs.Spec) {
			link(t, root, "up", "../../../../.."+outside)
			mountAt(s, outside, "/up/x")
		}, 0},
		"target in procfs":    {func(root string, s *specs.Spec) { link(t, root, "up", "/proc"); mountAt(s, outside, "/up/fs") }, syscall.EXDEV},
		"target in sysfs":     {func(root string, s *specs.Spec) { link(t, root, "up", "sys"); mountAt(s, outside, "/up/fs") }, syscall.EXDEV},
		"target by procfs":    {func(root string, s *specs.Spec) { link(t, root, "up", "/proc/1/root"); mountAt(s, outside, "/up/tmp") }, 0},
		"cwd by a descriptor": {func(_ string, s *specs.Spec) { s.Process.Cwd = "/proc/self/fd/7" }, syscall.ELOOP},
		"cwd by a link":       {func(root string, s *specs.Spec) { link(t, root, "w", "/proc/self/fd/8"); s.Process.Cwd = "/w" }, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := monitortest.Root(t)
			spec := monitortest.Spec(root, "sleep", "30")
			tt.change(root, spec)
			id := strings.ReplaceAll(name, " ", "-")
			_, err := start(t, p, spec, monitor.StartRequest{ID: id}, compile.Options{})
			switch {
			case tt.errno == 0 && err != nil:
				t.Errorf("start: %v", err)
			case tt.errno != 0 && err == nil:
				t.Error("starts")
			case tt.errno != 0 && !errors.Is(err, tt.errno) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR):
				t.Errorf("start: %v, want %v", err, tt.errno)
			}
			if entries, _ := os.ReadDir(outside); len(entries) > 0 {
				t.Errorf("%s outside was touched: %v", outside, entries)
			}
		})
	}
}

func mountAt(s *specs.Spec, source, destination string) {
	s.Mounts = append(s.Mounts, specs.Mount{Destination: destination, Type: "bind", Source: source, Options: []string{"rbind"}})
}

func TestStartErrors(t *testing.T) {
	p := monitortest.New(t)
	root := monitortest.Root(t)
	if err := os.WriteFile(filepath.Join(root, "bin/plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want monitor.StartError
	}{
		"in no directory of PATH": {[]string{"nosuch"}, monitor.StartError{Call: "execve", Note: "exec nosuch", Err: syscall.ENOENT}},
		"not executable":          {[]string{"plain"}, monitor.StartError{Call: "execve", Note: "exec plain", Err: syscall.EACCES}},
		"no such path":            {[]string{"/nosuch"}, monitor.StartError{Call: "execve", Note: "exec /nosuch", Err: syscall.ENOENT}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := start(t, p, monitortest.Spec(root, tt.args...), monitor.StartRequest{ID: "x"}, compile.Options{})
			var got *monitor.StartError
			if !errors.As(err, &got) || *got != tt.want {
				t.Errorf("error %v", err)
			}
		})
	}
	if list, err := p.List(deadline(t)); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

func TestOverlay(t *testing.T) {
	p := monitortest.New(t)
	dir := t.TempDir()
	o := &compile.Overlay{Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Lower: []string{filepath.Join(dir, "top"), monitortest.Root(t)}}
	root := filepath.Join(dir, "root")
	for _, d := range []string{o.Upper, o.Work, o.Lower[0], root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.Lower[0], "layer"), []byte("top layer\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := monitortest.Spec(root, "sh", "-c", "cat /layer; echo kept > /new")
	status, log := run(t, p, spec, monitor.StartRequest{ID: "o"}, compile.Options{Overlay: o})
	if status.ExitCode != 0 || log != "stdout F top layer\n" {
		t.Errorf("exit code %d\n%s", status.ExitCode, log)
	}
	if content, err := os.ReadFile(filepath.Join(o.Upper, "new")); err != nil || string(content) != "kept\n" {
		t.Errorf("upper layer: %q, %v", content, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Error("a mount is left on the host")
	}
}
