package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestUserNamespace: root inside is nobody outside, in every container of the Pod and in what is run there, and files
// go in and out under the Pod's own numbers.
func TestUserNamespace(t *testing.T) {
	f := newFixture(t)
	mapping := []*runtimev1.IDMapping{{HostId: 1000000, ContainerId: 0, Length: 65536}}
	own := func(c *runtimev1.PodSandboxConfig) {
		options := c.Linux.SecurityContext.NamespaceOptions
		options.UsernsOptions = &runtimev1.UserNamespace{Mode: runtimev1.NamespaceMode_POD, Uids: mapping, Gids: mapping}
	}
	pod, config := f.pod("web", own, func(c *runtimev1.PodSandboxConfig) {
		c.DnsConfig = &runtimev1.DNSConfig{Servers: []string{"198.51.100.1"}}
		c.Linux.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
	})
	volume := t.TempDir()
	if err := os.Chmod(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	id := f.run(pod, config, "app", shell("echo kept >/data/file; echo own >/root-file; sleep 1000"), func(c *runtimev1.ContainerConfig) {
		c.Mounts = []*runtimev1.Mount{{ContainerPath: "/data", HostPath: volume, UidMappings: mapping, GidMappings: mapping}}
	})
	if got := strings.Join(strings.Fields(f.exec(id, "cat", "/proc/self/uid_map")), " "); got != "0 1000000 65536" {
		t.Errorf("map %q", got)
	}
	if got := f.exec(id, "sh", "-c", "id -u; hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; stat -c %u /etc/resolv.conf /dev/shm /data; echo x >/dev/shm/x && echo wrote"); got != "0\nweb\n80\n0\n0\n0\nwrote" {
		t.Errorf("inside: %q", got)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pidOf(t, f, id)))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 1000000 {
		t.Errorf("the process outside: %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(volume, "file")); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the file in the volume: %v, %v", info, err)
	}
	target := f.run(pod, config, "debugger", func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_TARGET, TargetId: id}
	})
	if got := f.exec(target, "cat", "/proc/1/root/root-file"); got != "own" {
		t.Errorf("the debugger sees %q", got)
	}
	for name, change := range map[string]func(*runtimev1.NamespaceOption){
		"no root": func(o *runtimev1.NamespaceOption) {
			o.UsernsOptions.Gids = []*runtimev1.IDMapping{{HostId: 1000000, ContainerId: 1, Length: 65536}}
		},
		"two mappings": func(o *runtimev1.NamespaceOption) {
			o.UsernsOptions.Uids = append(o.UsernsOptions.Uids, &runtimev1.IDMapping{HostId: 2000000, ContainerId: 65536, Length: 1})
		},
		"no mappings":    func(o *runtimev1.NamespaceOption) { o.UsernsOptions.Uids = nil },
		"host's network": func(o *runtimev1.NamespaceOption) { o.Network = runtimev1.NamespaceMode_NODE },
	} {
		bad := &runtimev1.PodSandboxConfig{Metadata: &runtimev1.PodSandboxMetadata{Name: name}, Linux: &runtimev1.LinuxPodSandboxConfig{
			SecurityContext: &runtimev1.LinuxSandboxSecurityContext{NamespaceOptions: &runtimev1.NamespaceOption{}},
		}}
		own(bad)
		change(bad.Linux.SecurityContext.NamespaceOptions)
		if _, err := f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{Config: bad}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pidOf(t *testing.T, f *fixture, id string) int {
	t.Helper()
	c, err := f.server.containers.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return c.PID()
}
