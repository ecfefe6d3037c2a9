package compile

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// source is what a mount comes from, opened while the host's files can be reached.
type source struct {
	tree  launch.Arg // of a bind mount
	dir   bool
	trees []cgroupTree // of a cgroup v1 mount
	// system is a mount made with the host's rights for a user namespace.
	system *launch.Arg
}

type cgroupTree struct {
	name string
	tree launch.Arg
}

// openSources clones the source of every bind mount as a tree that belongs nowhere yet.
func (c *compiler) openSources(spec *specs.Spec, opt Options) ([]source, error) {
	sources := make([]source, len(spec.Mounts))
	for i, m := range spec.Mounts {
		o := parse(m)
		switch {
		case !filepath.IsAbs(m.Destination):
			return nil, fmt.Errorf("mount %q: destination is not absolute", m.Destination)
		case o.bind:
			var err error
			if sources[i], err = c.openBind(m, o); err != nil {
				return nil, fmt.Errorf("mount %s: %w", m.Destination, err)
			}
		case m.Type == "cgroup":
			sources[i].trees = c.openCgroups(spec, opt)
			for _, t := range sources[i].trees {
				c.setattr(t.tree, attr{set: o.attr.set}, true, "mount cgroup on "+m.Destination)
			}
		}
	}
	return sources, nil
}

// openBind clones a source and gives it the mount's options.
func (c *compiler) openBind(m specs.Mount, o mountOptions) (source, error) {
	info, err := os.Stat(m.Source)
	if err != nil {
		return source{}, err
	}
	note := "open " + m.Source + " for " + m.Destination
	s := source{dir: info.IsDir(), tree: c.cloneTree(m.Source, o.recursive, note)}
	mapped := len(m.UIDMappings) > 0 || len(m.GIDMappings) > 0
	switch {
	case mapped && (c.users == nil || !slices.Equal(m.UIDMappings, c.users.uids) || !slices.Equal(m.GIDMappings, c.users.gids)):
		return source{}, fmt.Errorf("ID mappings other than the container's: %w", ErrUnsupported)
	case (o.idmap || o.ridmap) && c.users == nil:
		return source{}, fmt.Errorf("idmap without a user namespace: %w", ErrUnsupported)
	case mapped || o.idmap || o.ridmap:
		c.idmap(s.tree, o.ridmap, note)
	}
	c.setattr(s.tree, o.attr, false, note)
	c.setattr(s.tree, o.recAttr, true, note)
	if o.propagation.empty() {
		o.propagation.propagation, o.propagationRec = unix.MS_PRIVATE, true
	}
	c.setattr(s.tree, o.propagation, o.propagationRec, note)
	return s, nil
}

func (c *compiler) cloneTree(path string, recursive bool, note string) launch.Arg {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return c.Keep(unix.SYS_OPEN_TREE, note, launch.Int(unix.AT_FDCWD), c.Text(path), launch.Int(flags))
}

const sizeofAttr = 32

// setattr changes a mount that a descriptor is the root of.
func (c *compiler) setattr(fd launch.Arg, a attr, recursive bool, note string) {
	if a.empty() {
		return
	}
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	words := c.Words(launch.Arg{Value: a.set}, launch.Arg{Value: a.clear}, launch.Arg{Value: a.propagation}, launch.Int(0))
	c.Must(unix.SYS_MOUNT_SETATTR, note, fd, c.Text(""), launch.Int(flags), words, launch.Int(sizeofAttr))
}

func (c *compiler) moveMount(tree, at launch.Arg, note string) {
	c.Must(unix.SYS_MOVE_MOUNT, note, tree, c.Text(""), at, c.Text(""), launch.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// mount mounts one entry of the configuration inside the root.
func (c *compiler) mount(m specs.Mount, s source) error {
	o := parse(m)
	note := fmt.Sprintf("mount %s on %s", m.Type, m.Destination)
	if o.bind {
		if len(o.data) > 0 {
			return fmt.Errorf("options %q of a bind mount: %w", o.data, ErrUnsupported)
		}
		c.bind(m, s)
		return nil
	}
	if path.Clean(m.Destination) == "/" {
		return fmt.Errorf("a file system as root: %w", ErrUnsupported)
	}
	// Security rests on these being where they seem to be; no image has links in their places but to deceive.
	at := c.ensureDirBy(m.Destination, noSymlinks, note)
	c.cover(m.Destination)
	if s.system != nil {
		c.moveMount(*s.system, at, note)
		return nil
	}
	c.Must(unix.SYS_FCHDIR, note, at)
	data := strings.Join(o.data, ",")
	if len(data) > maxMountData {
		return fmt.Errorf("options of %d bytes: %w", len(data), ErrUnsupported)
	}
	if m.Type == "cgroup" {
		c.mountCgroup(m, s, o, note)
		return nil
	}
	if slices.Contains(o.data, "tmpcopyup") {
		return fmt.Errorf("tmpcopyup: %w", ErrUnsupported)
	}
	c.Must(unix.SYS_MOUNT, note, c.Text(m.Source), c.Text("."), c.Text(m.Type), launch.Int(o.flags), c.Text(data))
	if m.Type == "tmpfs" {
		c.startFresh(m.Destination, note)
	}
	if p := o.propagation; !p.empty() || !o.recAttr.empty() {
		on := c.ensureDirBy(m.Destination, noSymlinks, note)
		c.setattr(on, o.recAttr, true, note)
		c.setattr(on, p, o.propagationRec, note)
	}
	return nil
}

func (c *compiler) bind(m specs.Mount, s source) {
	note := fmt.Sprintf("mount %s on %s", m.Source, m.Destination)
	var at launch.Arg
	if s.dir {
		at = c.ensureDir(m.Destination, note)
	} else {
		at = c.ensureFile(m.Destination, note)
	}
	c.notKernels(m.Destination, at, note)
	c.cover(m.Destination)
	c.moveMount(s.tree, at, note)
}

// Magic numbers of linux/magic.h.
const (
	procMagic  = 0x9fa0
	sysfsMagic = 0x62656572
)

// notKernels refuses a place in procfs or sysfs that a link has led to: an image, or another container in a volume that
// both share, would cover what is masked and read there. Whoever names such a place gets it.
func (c *compiler) notKernels(p string, at launch.Arg, note string) {
	p = path.Clean("/" + p)
	if _, own := c.fresh[path.Dir(p)]; own || strings.HasPrefix(p+"/", "/proc/") || strings.HasPrefix(p+"/", "/sys/") {
		return
	}
	stat := c.Space(sizeofFS)
	c.Must(unix.SYS_FSTATFS, note, at, stat)
	for _, magic := range []int{procMagic, sysfsMagic} {
		c.OrSkip(func(launch.Arg) { c.Fail(unix.EXDEV, note) }, launch.OpEqual, note, stat, launch.Int(8), launch.Int(-1), launch.Int(magic))
	}
}

// cgroupMount is where hosts have their cgroups.
const cgroupMount = "/sys/fs/cgroup"

// openCgroups opens what the container sees of v1 hierarchies: its own cgroup in each.
func (c *compiler) openCgroups(spec *specs.Spec, opt Options) []cgroupTree {
	var trees []cgroupTree
	for _, dir := range opt.CgroupDirs {
		if rel, err := filepath.Rel(cgroupMount, dir); err == nil && !c.unified {
			name, _, _ := strings.Cut(rel, "/")
			trees = append(trees, cgroupTree{name, c.cloneTree(dir, true, "open cgroup "+dir)})
		}
	}
	if len(trees) > 0 {
		return trees
	}
	own := slices.ContainsFunc(spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.CgroupNamespace })
	if !own { // v2 without a namespace: the host's tree, as it is
		return []cgroupTree{{"", c.cloneTree(cgroupMount, true, "open "+cgroupMount)}}
	}
	return nil
}

// mountCgroup mounts cgroups on the working directory.
func (c *compiler) mountCgroup(m specs.Mount, s source, o mountOptions, note string) {
	if len(s.trees) == 0 {
		c.Must(unix.SYS_MOUNT, note, c.Text("cgroup"), c.Text("."), c.Text("cgroup2"), launch.Int(o.flags), c.Text(""))
		return
	}
	if s.trees[0].name == "" {
		at := c.ensureDir(m.Destination, note)
		c.moveMount(s.trees[0].tree, at, note)
		return
	}
	c.Must(unix.SYS_MOUNT, note, c.Text("tmpfs"), c.Text("."), c.Text("tmpfs"), launch.Int(o.flags&^unix.MS_RDONLY), c.Text("mode=755"))
	c.startFresh(m.Destination, note)
	for _, t := range s.trees {
		c.moveMount(t.tree, c.ensureDir(path.Join(m.Destination, t.name), note), note)
		if strings.Contains(t.name, ",") { // cpu,cpuacct is found under either name
			top := c.ensureDir(m.Destination, note)
			for _, name := range strings.Split(t.name, ",") {
				c.May(unix.SYS_SYMLINKAT, note, c.Text(t.name), top, c.Text(name))
			}
		}
	}
	if o.flags&unix.MS_RDONLY != 0 {
		c.setattr(c.ensureDir(m.Destination, note), attr{set: unix.MOUNT_ATTR_RDONLY}, false, note)
	}
}
