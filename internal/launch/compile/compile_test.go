package compile_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files")

func spec() *specs.Spec {
	return &specs.Spec{
		Root:     &specs.Root{Path: "/run/root", Readonly: true},
		Hostname: "host",
		Process: &specs.Process{
			Terminal: true, ConsoleSize: &specs.Box{Width: 80, Height: 24}, Args: []string{"sh", "-c", "true"}, Env: []string{"PATH=/bin:/usr/bin"},
			Cwd: "/work", User: specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5}}, NoNewPrivileges: true,
			Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance"}},
			{Destination: "/etc/hosts", Type: "bind", Source: "/dev/null", Options: []string{"rbind", "ro", "rslave"}},
		},
		Linux: &specs.Linux{
			Namespaces:    []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}, {Type: specs.PIDNamespace, Path: "/proc/self/ns/pid"}},
			MaskedPaths:   []string{"/proc/keys"},
			ReadonlyPaths: []string{"/proc/sys"},
			Sysctl:        map[string]string{"net.ipv4.ip_forward": "1"},
		},
	}
}

func golden(t *testing.T, name string, p *launch.Program) {
	t.Helper()
	path, got := filepath.Join("testdata", name), p.String()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestContainer(t *testing.T) {
	overlay := &compile.Overlay{Lower: []string{"/layers/2/fs", "/layers/1/fs"}, Upper: "/c/upper", Work: "/c/work"}
	for name, traced := range map[string]bool{"container.golden": false, "container-traced.golden": true} {
		p, files, err := compile.Container(spec(), compile.Options{Overlay: overlay, Traced: traced, Mounts: "/proc/self/ns/mnt"})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			f.Close()
		}
		golden(t, name, p)
	}
}

func TestHost(t *testing.T) {
	p, files, err := compile.Host([]string{"/usr/sbin/runc", "run", "x"}, compile.HostOptions{Env: []string{"PATH=/usr/sbin:/usr/bin"}, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	golden(t, "host.golden", p)
	if _, _, err := compile.Host(nil, compile.HostOptions{}); err == nil {
		t.Error("no command compiles")
	}
}

func TestExec(t *testing.T) {
	for name, traced := range map[string]bool{"exec.golden": false, "exec-traced.golden": true} {
		p, _, err := compile.Exec(&specs.Process{Args: []string{"/bin/id"}, Cwd: "/"}, compile.ExecOptions{Traced: traced})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, p)
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]func(s *specs.Spec){
		"user namespace":      func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{}} },
		"hooks":               func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/x"}}} },
		"network devices":     func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {}} },
		"memory policy":       func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{} },
		"no mount namespace":  func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[1:] },
		"ID-mapped mount":     func(s *specs.Spec) { s.Mounts[3].UIDMappings = []specs.LinuxIDMapping{{}} },
		"idmap for nobody":    func(s *specs.Spec) { s.Mounts[3].Options = append(s.Mounts[3].Options, "idmap") },
		"bind with data":      func(s *specs.Spec) { s.Mounts[3].Options = append(s.Mounts[3].Options, "what=ever") },
		"SELinux mount label": func(s *specs.Spec) { s.Linux.MountLabel = "x" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := spec()
			change(s)
			if _, _, err := compile.Container(s, compile.Options{}); !errors.Is(err, compile.ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
}
