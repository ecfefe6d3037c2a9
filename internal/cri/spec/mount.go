package spec

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// mounts returns the file systems of every container, without those that the client replaces, then the client's.
// Parents come before children.
func mounts(in *Input) ([]specs.Mount, error) {
	own := in.Container.GetMounts()
	taken := func(dest string) bool {
		return slices.ContainsFunc(own, func(m *runtimev1.Mount) bool { return path.Clean(m.GetContainerPath()) == dest })
	}
	var list []specs.Mount
	for _, m := range slices.Concat(systemMounts(in), sandboxMounts(in)) {
		if !taken(m.Destination) {
			list = append(list, m)
		}
	}
	system := len(list)
	for i, m := range own {
		mount, err := clientMount(in, i, m)
		if err != nil {
			return nil, err
		}
		list = append(list, mount)
	}
	slices.SortStableFunc(list[system:], func(a, b specs.Mount) int { return cmp.Compare(depth(a.Destination), depth(b.Destination)) })
	return list, nil
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// systemMounts are the kernel's file systems. A privileged container may write to /sys and /sys/fs/cgroup.
func systemMounts(in *Input) []specs.Mount {
	access := "ro"
	if in.privileged() {
		access = "rw"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
	}
}

// sandboxMounts bind what the containers of a Pod share. They follow the root's read-only wish, as in containerd.
func sandboxMounts(in *Input) []specs.Mount {
	access := "rw"
	if in.security().GetReadonlyRootfs() {
		access = "ro"
	}
	var list []specs.Mount
	for _, f := range []struct {
		dest, source string
		options      []string
	}{
		{"/etc/hostname", in.Files.Hostname, []string{"rbind", "rprivate", access}},
		{"/etc/hosts", in.Files.Hosts, []string{"rbind", "rprivate", access}},
		{"/etc/resolv.conf", in.Files.ResolvConf, []string{"rbind", "rprivate", access}},
		{"/dev/shm", in.Files.Shm, []string{"rbind", "rprivate", "rw"}},
	} {
		if f.source != "" && len(in.UIDs) > 0 && f.dest != "/dev/shm" { // the Pod's root owns that already
			f.options = append(f.options, "idmap")
		}
		if f.source != "" {
			list = append(list, specs.Mount{Destination: f.dest, Type: "bind", Source: f.source, Options: f.options})
		}
	}
	return list
}

func clientMount(in *Input, index int, m *runtimev1.Mount) (specs.Mount, error) {
	dest := m.GetContainerPath()
	if dest == "" || path.Clean("/"+dest) == "/" {
		return specs.Mount{}, fmt.Errorf("mount onto %q: %w", dest, errdefs.ErrInvalidArgument)
	}
	options := []string{"rbind"}
	source := m.GetHostPath()
	if m.GetImage().GetImage() != "" {
		if source != "" {
			return specs.Mount{}, fmt.Errorf("mount onto %s names both an image and a host path: %w", dest, errdefs.ErrInvalidArgument)
		}
		if !m.GetReadonly() {
			return specs.Mount{}, fmt.Errorf("mount onto %s: an image is mounted with readonly alone: %w", dest, errdefs.ErrInvalidArgument)
		}
		source = in.ImageVolumes[index]
		options = append(options, "ro")
	} else {
		access, err := accessOptions(m)
		if err != nil {
			return specs.Mount{}, err
		}
		options = append(options, access...)
		if source, err = filepath.EvalSymlinks(source); err != nil {
			return specs.Mount{}, fmt.Errorf("mount onto %s: %w: %w", dest, err, errdefs.ErrInvalidArgument)
		}
	}
	extra, err := extraOptions(m)
	if err != nil {
		return specs.Mount{}, err
	}
	mapped, err := mappedMount(in, m)
	if err != nil {
		return specs.Mount{}, err
	}
	if mapped {
		options = append(options, "idmap")
	}
	return specs.Mount{Destination: path.Clean("/" + dest), Type: "bind", Source: source, Options: append(options, extra...)}, nil
}

// mappedMount tells whether a mount shows its files as owned by the Pod's users. It can by no other mapping.
func mappedMount(in *Input, m *runtimev1.Mount) (bool, error) {
	if len(m.GetUidMappings()) == 0 && len(m.GetGidMappings()) == 0 {
		return false, nil
	}
	if !sameMapping(m.GetUidMappings(), in.UIDs) || !sameMapping(m.GetGidMappings(), in.GIDs) {
		return false, fmt.Errorf("mount onto %s: its mappings are not those of the pod's user namespace: %w", m.GetContainerPath(), errdefs.ErrInvalidArgument)
	}
	return true, nil
}

func sameMapping(asked []*runtimev1.IDMapping, pod []specs.LinuxIDMapping) bool {
	return slices.EqualFunc(asked, pod, func(a *runtimev1.IDMapping, b specs.LinuxIDMapping) bool {
		return a.GetContainerId() == b.ContainerID && a.GetHostId() == b.HostID && a.GetLength() == b.Size
	})
}

// accessOptions returns read-only and propagation options. A recursive read-only mount must be private.
func accessOptions(m *runtimev1.Mount) ([]string, error) {
	var options []string
	switch m.GetPropagation() {
	case runtimev1.MountPropagation_PROPAGATION_PRIVATE:
		options = append(options, "rprivate")
	case runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
		options = append(options, "rslave")
	case runtimev1.MountPropagation_PROPAGATION_BIDIRECTIONAL:
		options = append(options, "rshared")
	default:
		return nil, fmt.Errorf("mount onto %s: propagation %v is %w", m.GetContainerPath(), m.GetPropagation(), errUnknown)
	}
	if m.GetRecursiveReadOnly() {
		if !m.GetReadonly() || m.GetPropagation() != runtimev1.MountPropagation_PROPAGATION_PRIVATE {
			return nil, fmt.Errorf("mount onto %s: recursive_read_only needs readonly and private propagation: %w", m.GetContainerPath(), errdefs.ErrInvalidArgument)
		}
		return append(options, "rro"), nil
	}
	if m.GetReadonly() {
		return append(options, "ro"), nil
	}
	return append(options, "rw"), nil
}

// extraOptions passes on the restrictions that a bind mount can carry.
func extraOptions(m *runtimev1.Mount) ([]string, error) {
	for _, option := range m.GetMountOptions() {
		if !slices.Contains([]string{"noexec", "nodev", "nosuid"}, option) {
			return nil, fmt.Errorf("mount onto %s: option %q is not one of noexec, nodev, nosuid: %w", m.GetContainerPath(), option, errdefs.ErrInvalidArgument)
		}
	}
	return m.GetMountOptions(), nil
}

// rootPropagation must let through what the most open mount asks for.
func rootPropagation(in *Input) string {
	out := ""
	for _, m := range in.Container.GetMounts() {
		switch m.GetPropagation() {
		case runtimev1.MountPropagation_PROPAGATION_BIDIRECTIONAL:
			return "rshared"
		case runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
			out = "rslave"
		}
	}
	return out
}
