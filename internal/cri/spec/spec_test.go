package spec

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\nhuge:x:4294967296:0::/:\n"
	group  = "root:x:0:\napp:x:1001:\nextra:x:2000:app\nother:x:2001:root\nwheel:x:10:app,root\n"
)

func input(change func(*Input)) Input {
	in := Input{
		ID: "c1", SandboxID: "s1", Cgroup: "/pods/p/c1", Hostname: "web",
		Container: &runtimev1.ContainerConfig{Metadata: &runtimev1.ContainerMetadata{Name: "app"}, Linux: &runtimev1.LinuxContainerConfig{SecurityContext: &runtimev1.LinuxContainerSecurityContext{}}},
		Sandbox:   &runtimev1.PodSandboxConfig{Metadata: &runtimev1.PodSandboxMetadata{Name: "web", Namespace: "default", Uid: "u1"}},
		Image:     ocispec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}, Env: []string{"A=image", "B=image"}},
		Accounts:  Accounts{Passwd: []byte(passwd), Group: []byte(group)},
		Namespaces: Namespaces{
			Network: "/run/netns/s1", IPC: "/run/ns/s1.ipc", UTS: "/run/ns/s1.uts",
		},
		Files: Files{ResolvConf: "/sandbox/resolv.conf", Hostname: "/sandbox/hostname", Hosts: "/sandbox/hosts", Shm: "/run/shm/s1"},
	}
	if change != nil {
		change(&in)
	}
	return in
}

func security(in *Input) *runtimev1.LinuxContainerSecurityContext {
	return in.Container.Linux.SecurityContext
}

// TestGolden compares whole specifications. The seccomp profile is left out but for its being there where one was
// asked for: it is containerd's.
func TestGolden(t *testing.T) {
	cases := map[string]func(*Input){
		"plain":  nil,
		"silent": func(in *Input) { in.Container.Linux = nil },
		"full": func(in *Input) {
			in.Container.Command, in.Container.Args, in.Container.WorkingDir, in.Container.Tty = []string{"sh", "-c"}, []string{"true"}, "/work", true
			in.Container.Envs = []*runtimev1.KeyValue{{Key: "B", Value: []byte("own")}, {Key: "C", Value: []byte("own")}}
			in.Container.Annotations = map[string]string{"note": "kept"}
			in.Container.Linux.Resources = &runtimev1.LinuxContainerResources{
				CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 512, MemoryLimitInBytes: 64 << 20, OomScoreAdj: 1000, CpusetCpus: "0",
				HugepageLimits: []*runtimev1.HugepageLimit{{PageSize: "2MB", Limit: 0}}, Unified: map[string]string{"pids.max": "100", "memory.high": "1000"},
			}
			sc := security(in)
			sc.RunAsUsername, sc.NoNewPrivs, sc.ReadonlyRootfs, sc.SupplementalGroups = "app", true, true, []int64{3000, 2000}
			sc.Capabilities = &runtimev1.Capability{AddCapabilities: []string{"sys_ptrace"}, DropCapabilities: []string{"CAP_MKNOD"}}
			sc.MaskedPaths, sc.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys"}
			sc.Seccomp = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
			in.CgroupNamespace = true
		},
		"privileged": func(in *Input) {
			security(in).Privileged = true
			security(in).Seccomp = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
			security(in).MaskedPaths = []string{"/proc/kcore"}
			in.Namespaces, in.CgroupNamespace = Namespaces{HostPID: true}, true
		},
		"mounts": func(in *Input) {
			in.Container.Mounts = []*runtimev1.Mount{
				{ContainerPath: "/data/deep", HostPath: "/usr", Readonly: true, RecursiveReadOnly: true},
				{ContainerPath: "/data", HostPath: "/etc", MountOptions: []string{"noexec", "nosuid"}},
				{ContainerPath: "/etc/hosts", HostPath: "/etc/hostname", Propagation: runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
				{ContainerPath: "/image", Readonly: true, Image: &runtimev1.ImageSpec{Image: "sha256:1"}},
			}
			in.ImageVolumes = map[int]string{3: "/volumes/3"}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			s, user, err := Container(input(change))
			if err != nil {
				t.Fatal(err)
			}
			if (s.Linux.Seccomp != nil) != (name == "full") {
				t.Errorf("seccomp is %v", s.Linux.Seccomp)
			}
			s.Linux.Seccomp = nil
			if name == "privileged" { // its devices are this machine's
				s.Linux.Devices = nil
			}
			got, err := json.MarshalIndent(map[string]any{"spec": s, "user": user}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	cases := map[string]func(*Input){
		"no command":            func(in *Input) { in.Image = ocispec.ImageConfig{} },
		"group without user":    func(in *Input) { security(in).RunAsGroup = &runtimev1.Int64Value{Value: 1} },
		"user twice":            func(in *Input) { security(in).RunAsUser, security(in).RunAsUsername = &runtimev1.Int64Value{}, "app" },
		"unknown user":          func(in *Input) { security(in).RunAsUsername = "nobody-here" },
		"user beyond 31 bits":   func(in *Input) { in.Image.User = "4294967296" },
		"passwd beyond 31 bits": func(in *Input) { in.Image.User = "huge" },
		"unknown group":         func(in *Input) { in.Image.User = "app:nobody-here" },
		"negative group":        func(in *Input) { security(in).SupplementalGroups = []int64{-1} },
		"unknown capability":    func(in *Input) { security(in).Capabilities = &runtimev1.Capability{AddCapabilities: []string{"FLY"}} },
		"relative cwd":          func(in *Input) { in.Container.WorkingDir = "work" },
		"NUL":                   func(in *Input) { in.Container.Args = []string{"a\x00b"} },
		"mount of nothing":      func(in *Input) { in.Container.Mounts = []*runtimev1.Mount{{ContainerPath: "/x", HostPath: "/no/such"}} },
		"mount onto root":       func(in *Input) { in.Container.Mounts = []*runtimev1.Mount{{ContainerPath: "/", HostPath: "/etc"}} },
		"mount onto dots":       func(in *Input) { in.Container.Mounts = []*runtimev1.Mount{{ContainerPath: "/a/..", HostPath: "/etc"}} },
		"recursive and writable": func(in *Input) {
			in.Container.Mounts = []*runtimev1.Mount{{ContainerPath: "/x", HostPath: "/etc", RecursiveReadOnly: true}}
		},
		"odd option": func(in *Input) {
			in.Container.Mounts = []*runtimev1.Mount{{ContainerPath: "/x", HostPath: "/etc", MountOptions: []string{"suid"}}}
		},
		"seccomp elsewhere": func(in *Input) {
			security(in).Seccomp = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_Localhost, LocalhostRef: "/no/such.json"}
		},
		"device that is none": func(in *Input) {
			in.Container.Devices = []*runtimev1.Device{{HostPath: "/etc/passwd", ContainerPath: "/dev/x"}}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Container(input(change)); !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestUser(t *testing.T) {
	number := func(n int64) *runtimev1.Int64Value { return &runtimev1.Int64Value{Value: n} }
	cases := map[string]struct {
		change func(*Input)
		want   specs.User
		home   string
	}{
		"nothing said":       {nil, specs.User{AdditionalGids: []uint32{0, 2001, 10}}, "/root"},
		"image by name":      {func(in *Input) { in.Image.User = "app" }, specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 2000, 10}}, "/home/app"},
		"image by numbers":   {func(in *Input) { in.Image.User = "7:8" }, specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{8}}, "/"},
		"image, group named": {func(in *Input) { in.Image.User = "app:extra" }, specs.User{UID: 1000, GID: 2000, AdditionalGids: []uint32{2000, 10}}, "/home/app"},
		"number in passwd":   {func(in *Input) { security(in).RunAsUser = number(1000) }, specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 2000, 10}}, "/home/app"},
		"number elsewhere":   {func(in *Input) { security(in).RunAsUser = number(5) }, specs.User{UID: 5, AdditionalGids: []uint32{0}}, "/"},
		"group as well": {func(in *Input) { security(in).RunAsUser, security(in).RunAsGroup = number(1000), number(9) },
			specs.User{UID: 1000, GID: 9, AdditionalGids: []uint32{9, 2000, 10}}, "/home/app"},
		"with groups": {func(in *Input) {
			security(in).RunAsUser, security(in).SupplementalGroups = number(1000), []int64{77, 2000}
		}, specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 2000, 10, 77}}, "/home/app"},
		"strict": {func(in *Input) {
			security(in).RunAsUser, security(in).SupplementalGroups = number(1000), []int64{77}
			security(in).SupplementalGroupsPolicy = runtimev1.SupplementalGroupsPolicy_Strict
		}, specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 77}}, "/home/app"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, _, err := Container(input(c.change))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Process.User); diff != "" {
				t.Error(diff)
			}
			if !slices.Contains(s.Process.Env, "HOME="+c.home) {
				t.Errorf("no HOME=%s in %q", c.home, s.Process.Env)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	cases := map[string]struct{ command, args, want []string }{
		"image's":        {nil, nil, []string{"/entry", "serve"}},
		"args alone":     {nil, []string{"x"}, []string{"/entry", "x"}},
		"command alone":  {[]string{"sh"}, nil, []string{"sh"}},
		"both":           {[]string{"sh"}, []string{"-c"}, []string{"sh", "-c"}},
		"empty argument": {[]string{"sh"}, []string{""}, []string{"sh", ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, _, err := Container(input(func(in *Input) { in.Container.Command, in.Container.Args = c.command, c.args }))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Process.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	cases := map[string]struct {
		asked *runtimev1.Capability
		want  []string
	}{
		"drop all":         {&runtimev1.Capability{DropCapabilities: []string{"ALL"}}, nil},
		"drop all but one": {&runtimev1.Capability{DropCapabilities: []string{"all"}, AddCapabilities: []string{"NET_ADMIN"}}, []string{"CAP_NET_ADMIN"}},
		"add all but one":  {&runtimev1.Capability{AddCapabilities: []string{"ALL"}, DropCapabilities: []string{"CHOWN"}}, Known()[1:]},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, _, err := Container(input(func(in *Input) { security(in).Capabilities = c.asked }))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Process.Capabilities.Bounding); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte(passwd), []byte(group), "app:extra")
	f.Fuzz(func(_ *testing.T, passwd, group []byte, user string) {
		in := input(func(in *Input) { in.Accounts, in.Image.User = Accounts{Passwd: passwd, Group: group}, user })
		_, _ = resolveUser(&in)
	})
}

func BenchmarkContainer(b *testing.B) {
	in := input(nil)
	for b.Loop() {
		if _, _, err := Container(in); err != nil {
			b.Fatal(err)
		}
	}
}
