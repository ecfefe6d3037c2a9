package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// devices adds the nodes that are asked for and says what the device cgroup lets through.
func devices(in *Input, linux *specs.Linux) error {
	if in.privileged() {
		nodes, err := devicesBelow("/dev", "/dev", skipInDev())
		if err != nil {
			return err
		}
		linux.Devices = nodes
		linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		return nil
	}
	linux.Resources.Devices = standardDevices()
	for _, d := range in.Container.GetDevices() {
		nodes, err := askedDevice(d)
		if err != nil {
			return err
		}
		for _, node := range nodes {
			linux.Devices = append(linux.Devices, node)
			linux.Resources.Devices = append(linux.Resources.Devices, allow(node.Type, &node.Major, &node.Minor, accessOf(d)))
		}
	}
	return nil
}

func accessOf(d *runtimev1.Device) string {
	if d.GetPermissions() == "" {
		return "rwm"
	}
	return d.GetPermissions()
}

// askedDevice returns the node of a device, or all nodes below a directory.
func askedDevice(d *runtimev1.Device) ([]specs.LinuxDevice, error) {
	if strings.Trim(d.GetPermissions(), "rwm") != "" {
		return nil, fmt.Errorf("device %s: permissions %q: %w", d.GetHostPath(), d.GetPermissions(), errdefs.ErrInvalidArgument)
	}
	path, err := filepath.EvalSymlinks(d.GetHostPath())
	if err != nil {
		return nil, fmt.Errorf("device: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	if info.IsDir() {
		return devicesBelow(path, d.GetContainerPath(), nil)
	}
	node, err := deviceAt(path, d.GetContainerPath())
	if err != nil {
		return nil, err
	}
	return []specs.LinuxDevice{node}, nil
}

// skipInDev are the entries of /dev that each container has of its own, or that are no device nodes of a machine.
func skipInDev() []string {
	return []string{"pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev", "null", "zero", "full", "random", "urandom", "tty", "ptmx"}
}

func devicesBelow(host, container string, skip []string) ([]specs.LinuxDevice, error) {
	var nodes []specs.LinuxDevice
	err := filepath.WalkDir(host, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone while looking
		case err != nil:
			return err
		}
		rel, _ := filepath.Rel(host, path)
		if slices.Contains(skip, rel) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 {
			return nil
		}
		node, err := deviceAt(path, filepath.Join(container, rel))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		nodes = append(nodes, node)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list devices below %s: %w", host, err)
	}
	return nodes, nil
}

func deviceAt(host, container string) (specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Lstat(host, &st); err != nil {
		return specs.LinuxDevice{}, &fs.PathError{Op: "stat device", Path: host, Err: err}
	}
	kind := "c"
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFCHR:
	default:
		return specs.LinuxDevice{}, fmt.Errorf("%s is not a device: %w", host, errdefs.ErrInvalidArgument)
	}
	mode := os.FileMode(st.Mode &^ unix.S_IFMT)
	return specs.LinuxDevice{
		Path: container, Type: kind, FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
		Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
	}, nil
}

func allow(kind string, major, minor *int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: major, Minor: minor, Access: access}
}

// standardDevices denies everything but making nodes and using those of every container.
func standardDevices() []specs.LinuxDeviceCgroup {
	list := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}, allow("c", nil, nil, "m"), allow("b", nil, nil, "m")}
	for _, d := range [][2]int64{
		{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, // null, zero, full, random, urandom
		{5, 0}, {5, 1}, {5, 2}, // tty, console, ptmx
	} {
		list = append(list, allow("c", &d[0], &d[1], "rwm"))
	}
	pts := int64(136)
	return append(list, allow("c", &pts, nil, "rwm"))
}
