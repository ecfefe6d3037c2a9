package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The device of the tests is /dev/net/tun, which anyone may open whom the device cgroup lets.
const deviceMajor, deviceMinor = 10, 200

// hostDevice makes a node outside /dev, so that nothing of the machine's own is touched.
func hostDevice(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(deviceMajor, deviceMinor))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(path, 0o666); err != nil { // past the umask
		t.Fatal(err)
	}
}

// TestDevices: a device that is asked for is there, with the access that is asked for; any other can be made but not opened.
func TestDevices(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	hostDevice(t, filepath.Join(dir, "one"))
	hostDevice(t, filepath.Join(dir, "two"))
	pod, config := f.pod("web")
	with := func(d *runtimev1.Device) func(*runtimev1.ContainerConfig) {
		return func(c *runtimev1.ContainerConfig) { c.Devices = []*runtimev1.Device{d} }
	}
	cases := map[string]struct {
		device       *runtimev1.Device
		script, want string
	}{
		"read":      {&runtimev1.Device{HostPath: dir + "/one", ContainerPath: "/dev/mine", Permissions: "r"}, `: </dev/mine && echo yes; : >/dev/mine`, "yes"},
		"write":     {&runtimev1.Device{HostPath: dir + "/one", ContainerPath: "/dev/mine", Permissions: "w"}, `: >/dev/mine && echo yes; : </dev/mine`, "yes"},
		"all":       {&runtimev1.Device{HostPath: dir + "/one", ContainerPath: "/dev/deep/mine"}, `: <>/dev/deep/mine && stat -c '%t:%T' /dev/deep/mine`, "a:c8"},
		"directory": {&runtimev1.Device{HostPath: dir, ContainerPath: "/dev/all", Permissions: "rw"}, `: </dev/all/one && : >/dev/all/two && echo yes`, "yes"},
	}
	for name, c := range cases {
		id := f.run(pod, config, strings.ReplaceAll(name, " ", "-"), with(c.device))
		answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", c.script}, Timeout: 20})
		if err != nil || strings.TrimSpace(string(answer.GetStdout())) != c.want {
			t.Errorf("%s: %q, %q, %v", name, answer.GetStdout(), answer.GetStderr(), err)
		}
		denied := strings.Contains(string(answer.GetStderr()), "Operation not permitted")
		if narrow := len(c.device.GetPermissions()) == 1; narrow != denied {
			t.Errorf("%s: stderr %q", name, answer.GetStderr())
		}
	}
	without := f.run(pod, config, "without")
	answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: without, Cmd: []string{"sh", "-c", "mknod /made c 10 200 && : </made"}, Timeout: 20})
	if err != nil || !strings.Contains(string(answer.GetStderr()), "Operation not permitted") {
		t.Errorf("a device that nobody gave: %v, %v", answer, err)
	}
}

// TestPrivileged: all capabilities, the machine's devices, /sys to write to, no seccomp, nothing masked.
func TestPrivileged(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) {
		sc := c.Linux.SecurityContext
		sc.Privileged, sc.MaskedPaths, sc.ReadonlyPaths = true, []string{"/proc/cmdline"}, []string{"/proc/sys"}
		sc.Seccomp = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
	})
	plain := f.run(pod, config, "plain", func(c *runtimev1.ContainerConfig) {
		sc := c.Linux.SecurityContext
		sc.MaskedPaths, sc.ReadonlyPaths = []string{"/proc/cmdline"}, []string{"/proc/sys"}
		sc.Seccomp = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
	})
	for script, want := range map[string][2]string{
		"grep CapBnd /proc/self/status":                                                {"CapBnd:\t" + hostCapabilities(t), "CapBnd:\t00000000a80425fb"},
		"grep Seccomp: /proc/self/status":                                              {"Seccomp:\t0", "Seccomp:\t2"},
		"grep -c '^sysfs /sys sysfs rw' /proc/mounts":                                  {"1", "0"},
		"test -c /dev/kmsg && echo yes || echo no":                                     {"yes", "no"},
		"stat -c %t:%T /proc/cmdline":                                                  {"0:0", "1:3"},
		"(: >/proc/sys/kernel/hostname) 2>/dev/null && echo yes || echo no":            {"yes", "no"},
		"mkdir -p /mnt && mount -t tmpfs none /mnt 2>/dev/null && echo yes || echo no": {"yes", "no"},
	} {
		for i, one := range []string{id, plain} {
			answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: one, Cmd: []string{"sh", "-c", script}, Timeout: 20})
			if got := strings.TrimSpace(string(answer.GetStdout())); err != nil || got != want[i] {
				t.Errorf("%s: %q, not %q: %s, %v", script, got, want[i], answer.GetStderr(), err)
			}
		}
	}
}

// TestLabelsAreRefused: this is what a machine without AppArmor and SELinux answers, and with them for what it cannot keep.
func TestLabelsAreRefused(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	for want, change := range map[string]func(*runtimev1.LinuxContainerSecurityContext){
		"AppArmor": func(sc *runtimev1.LinuxContainerSecurityContext) {
			sc.Apparmor = &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_Localhost, LocalhostRef: "mayfly-test-no-such-profile"}
		},
		"SELinux": func(sc *runtimev1.LinuxContainerSecurityContext) {
			sc.SelinuxOptions = &runtimev1.SELinuxOption{User: "system_u", Role: "system_r", Type: "svirt_lxc_net_t", Level: "s0:c1"}
		},
	} {
		sc := &runtimev1.LinuxContainerSecurityContext{}
		change(sc)
		_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
			Metadata: &runtimev1.ContainerMetadata{Name: "app"}, Image: &runtimev1.ImageSpec{Image: busybox}, Linux: &runtimev1.LinuxContainerConfig{SecurityContext: sc},
		}})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if list, err := f.ListContainers(t.Context(), &runtimev1.ListContainersRequest{}); err != nil || len(list.GetContainers()) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// hostCapabilities are all that this machine lets anybody have.
func hostCapabilities(t *testing.T) string {
	t.Helper()
	return capabilitySet(t, "/proc/self/status", "CapBnd:")
}

// TestCDIDevices: a device that a file of the host describes is there with all that belongs to it, whichever way it is asked
// for; one that no file describes, or that needs what launch programs cannot do, is refused before there is a container.
func TestCDIDevices(t *testing.T) {
	dir := t.TempDir()
	hostDevice(t, filepath.Join(dir, "node"))
	description := fmt.Sprintf(`{"cdiVersion": "0.6.0", "kind": "example.com/net", "devices": [
		{"name": "tun", "containerEdits": {
			"env": ["TUN=yes"], "deviceNodes": [{"path": "/dev/mine", "hostPath": "%[1]s/node", "permissions": "rw"}],
			"mounts": [{"hostPath": "%[1]s", "containerPath": "/opt/vendor", "options": ["ro", "nosuid", "bind"]}]}},
		{"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}}]}`, dir)
	if err := os.WriteFile(filepath.Join(dir, "net.json"), []byte(description), 0o644); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) { c.CDIDirs = []string{dir} })
	pod, config := f.pod("web")
	for name, ask := range map[string]func(*runtimev1.ContainerConfig){
		"field": func(c *runtimev1.ContainerConfig) {
			c.CDIDevices = []*runtimev1.CDIDevice{{Name: "example.com/net=tun"}}
		},
		"annotation": func(c *runtimev1.ContainerConfig) {
			c.Annotations = map[string]string{"cdi.k8s.io/x": "example.com/net=tun"}
		},
	} {
		id := f.run(pod, config, name, ask)
		script := `: <>/dev/mine && stat -c '%t:%T' /dev/mine && echo $TUN && ls /opt/vendor && ! touch /opt/vendor/x 2>/dev/null`
		answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", script}, Timeout: 20})
		if want := "a:c8\nyes\nnet.json\nnode\n"; err != nil || answer.GetExitCode() != 0 || string(answer.GetStdout()) != want {
			t.Errorf("%s: %q, %q, %v", name, answer.GetStdout(), answer.GetStderr(), err)
		}
	}
	for device, want := range map[string]string{"example.com/net=none": "not described", "example.com/net=hooked": "hooks: not supported"} {
		asked := sleeper("refused", func(c *runtimev1.ContainerConfig) { c.CDIDevices = []*runtimev1.CDIDevice{{Name: device}} })
		_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, Config: asked, SandboxConfig: config})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", device, err)
		}
	}
}
