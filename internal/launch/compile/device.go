package compile

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultDevices are those that the OCI runtime specification promises to every container.
func defaultDevices() []device {
	return []device{
		{"/dev/null", "c", 1, 3, 0o666, 0, 0}, {"/dev/zero", "c", 1, 5, 0o666, 0, 0},
		{"/dev/full", "c", 1, 7, 0o666, 0, 0}, {"/dev/random", "c", 1, 8, 0o666, 0, 0},
		{"/dev/urandom", "c", 1, 9, 0o666, 0, 0}, {"/dev/tty", "c", 5, 0, 0o666, 0, 0},
	}
}

type device struct {
	path         string
	kind         string
	major, minor int64
	mode         uint32
	uid, gid     uint32
}

// devices makes device nodes, unless the host's /dev itself is mounted there.
func (c *compiler) devices(spec *specs.Spec) error {
	for _, m := range spec.Mounts {
		if path.Clean(m.Destination) == "/dev" && parse(m).bind {
			return nil
		}
	}
	dirs := map[string]launch.Arg{}
	for _, d := range deviceList(spec) {
		if err := c.device(d, dirs); err != nil {
			return fmt.Errorf("device %s: %w", d.path, err)
		}
	}
	dev := c.ensureDir("/dev", "make links in /dev")
	for _, l := range [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	} {
		c.May(unix.SYS_SYMLINKAT, "link /dev/"+l[1], c.Text(l[0]), dev, c.Text(l[1]))
	}
	return nil
}

// deviceList are the promised devices and those of the configuration, which go before.
func deviceList(spec *specs.Spec) []device {
	list := defaultDevices()
	for _, d := range spec.Linux.Devices {
		list = slices.DeleteFunc(list, func(known device) bool { return known.path == path.Clean(d.Path) })
		list = append(list, fromSpec(d))
	}
	return list
}

func fromSpec(d specs.LinuxDevice) device {
	out := device{path: path.Clean(d.Path), kind: d.Type, major: d.Major, minor: d.Minor, mode: 0o666}
	if d.FileMode != nil {
		out.mode = uint32(d.FileMode.Perm())
	}
	if d.UID != nil {
		out.uid = *d.UID
	}
	if d.GID != nil {
		out.gid = *d.GID
	}
	return out
}

// device makes a node in one of dirs, which it adds to.
func (c *compiler) device(d device, dirs map[string]launch.Arg) error {
	if !filepath.IsAbs(d.path) {
		return fmt.Errorf("path is not absolute")
	}
	kinds := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}
	kind, ok := kinds[d.kind]
	if !ok {
		return fmt.Errorf("type %q: unknown", d.kind)
	}
	note := "make device " + d.path
	if node, ok := c.nodes[d.path]; ok {
		c.moveMount(node, c.ensureFile(d.path, note), note)
		return nil
	}
	dir, known := dirs[path.Dir(d.path)]
	if !known {
		dir = c.ensureDir(path.Dir(d.path), note)
		dirs[path.Dir(d.path)] = dir
	}
	name := c.Text(path.Base(d.path))
	if _, fresh := c.fresh[path.Dir(d.path)]; !fresh {
		c.May(unix.SYS_UNLINKAT, note, dir, name, launch.Int(0))
	}
	c.Must(unix.SYS_MKNODAT, note, dir, name, launch.Int(int(kind|d.mode)), launch.Int(int(unix.Mkdev(uint32(d.major), uint32(d.minor)))))
	if d.uid != 0 || d.gid != 0 {
		c.Must(unix.SYS_FCHOWNAT, note, dir, name, launch.Int(int(d.uid)), launch.Int(int(d.gid)), launch.Int(unix.AT_SYMLINK_NOFOLLOW))
	}
	return nil
}
