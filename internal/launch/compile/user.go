package compile

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// users is the user namespace that a container lives in. The child works with the host's
// rights until it has left the host's root, then enters the namespace, and with it a mount
// namespace that the user namespace owns, and builds the rest as the container's root.
type users struct {
	namespace  launch.Arg
	uids, gids []specs.LinuxIDMapping
}

// mapID gives the host's number of a user or group.
func mapID(list []specs.LinuxIDMapping, id uint32) (uint32, error) {
	for _, m := range list {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + (id - m.ContainerID), nil
		}
	}
	return 0, fmt.Errorf("user or group %d: not mapped into the user namespace", id)
}

// host gives the host's numbers of a user.
func (u *users) host(user specs.User) (specs.User, error) {
	uid, err := mapID(u.uids, user.UID)
	if err != nil {
		return specs.User{}, err
	}
	gid, err := mapID(u.gids, user.GID)
	return specs.User{UID: uid, GID: gid}, err
}

// userNamespace finds out whether the configuration asks for one: a path to join, with the
// mappings that it was made with.
func (c *compiler) userNamespace(l *specs.Linux) error {
	at := slices.IndexFunc(l.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.UserNamespace })
	mapped := len(l.UIDMappings) > 0 && len(l.GIDMappings) > 0
	switch {
	case at < 0 && len(l.UIDMappings)+len(l.GIDMappings) == 0:
		return nil
	case at < 0 || l.Namespaces[at].Path == "" || !mapped:
		return fmt.Errorf("a user namespace other than by its path, with its mappings: %w", ErrUnsupported)
	}
	f, err := c.file(l.Namespaces[at].Path, unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	c.users = &users{namespace: f, uids: l.UIDMappings, gids: l.GIDMappings}
	return nil
}

// enterUsers makes the child the root of the user namespace. Its mounts are copies then,
// which nobody in the namespace can undo.
func (c *compiler) enterUsers() {
	if c.users == nil {
		return
	}
	c.becomeRoot(c.users.namespace)
	c.Must(unix.SYS_UNSHARE, "make mount namespace of the user namespace", launch.Int(unix.CLONE_NEWNS))
	c.openRoot()
}

func (c *compiler) becomeRoot(namespace launch.Arg) {
	none := launch.Int(0)
	c.Must(unix.SYS_SETNS, "join user namespace", namespace, launch.Int(unix.CLONE_NEWUSER))
	c.Must(unix.SYS_SETRESGID, "become root of the user namespace", none, none, none)
	c.Must(unix.SYS_SETRESUID, "become root of the user namespace", none, none, none)
}

// ownPipes gives the pipes to the container's user while the host's rights are there.
func (c *compiler) ownPipes(p *specs.Process) error {
	if c.users == nil || p.Terminal {
		return nil
	}
	user, err := c.users.host(p.User)
	if err != nil {
		return err
	}
	for _, f := range []int{launch.FileStdin, launch.FileStdout, launch.FileStderr} {
		c.ownPipe(launch.FileArg(f), user)
	}
	return nil
}

// idmap lets a tree that belongs nowhere yet show the host's files as the container's.
func (c *compiler) idmap(tree launch.Arg, recursive bool, note string) {
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	words := c.Words(launch.Int(unix.MOUNT_ATTR_IDMAP), launch.Int(0), launch.Int(0), launch.Int(0))
	const namespaceAt = 24
	c.Store(launch.At(words, namespaceAt), c.users.namespace)
	c.Must(unix.SYS_MOUNT_SETATTR, note, tree, c.Text(""), launch.Int(flags), words, launch.Int(sizeofAttr))
}

// idmapAt covers a directory with itself, seen with the container's users. Only the child
// sees it: its mounts are its own.
func (c *compiler) idmapAt(dir string) {
	note := "map users of " + dir
	tree := c.cloneTree(dir, false, note)
	c.idmap(tree, false, note)
	c.Must(unix.SYS_MOVE_MOUNT, note, tree, c.Text(""), launch.Int(unix.AT_FDCWD), c.Text(dir), launch.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// mapOverlay shows the layers with the container's users. What the container writes lands
// in the upper directory under the host's numbers, so that one must belong to its root.
func (c *compiler) mapOverlay(o *Overlay) error {
	for _, l := range o.Lower {
		c.idmapAt(l)
	}
	if o.Upper == "" {
		return nil
	}
	root, err := c.users.host(specs.User{})
	if err != nil {
		return err
	}
	c.Must(unix.SYS_FCHOWNAT, "own upper layer", launch.Int(unix.AT_FDCWD), c.Text(o.Upper), launch.Int(int(root.UID)), launch.Int(int(root.GID)), launch.Int(unix.AT_SYMLINK_NOFOLLOW))
	return nil
}

// detach makes a mount of a file system that the kernel shows to the host's root alone, or
// where something of it is visible already. It moves into place later.
func (c *compiler) detach(m specs.Mount, o mountOptions) launch.Arg {
	note, kind := "make "+m.Type, m.Type
	if kind == "cgroup" {
		kind = "cgroup2"
	}
	fs := c.Keep(unix.SYS_FSOPEN, note, c.Text(kind), launch.Int(unix.FSOPEN_CLOEXEC))
	none := launch.Int(0)
	for _, option := range o.data {
		key, value, ok := strings.Cut(option, "=")
		if ok {
			c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_SET_STRING), c.Text(key), c.Text(value), none)
		} else {
			c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_SET_FLAG), c.Text(key), none, none)
		}
	}
	c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_CMD_CREATE), none, none, none)
	return c.Keep(unix.SYS_FSMOUNT, note, fs, launch.Int(unix.FSMOUNT_CLOEXEC), launch.Int(int(o.attr.set)))
}

// detachSystem makes those mounts while the child has the host's rights.
func (c *compiler) detachSystem(spec *specs.Spec, sources []source) error {
	if c.users == nil {
		return nil
	}
	root, err := c.users.host(specs.User{})
	if err != nil {
		return err
	}
	for i, m := range spec.Mounts {
		switch {
		case m.Type == "proc", m.Type == "sysfs", m.Type == "mqueue", m.Type == "cgroup" && len(sources[i].trees) == 0:
			tree := c.detach(m, parse(m))
			sources[i].system = &tree
			if m.Type == "mqueue" { // belongs to whoever made the IPC namespace
				c.May(unix.SYS_FCHOWNAT, "own mqueue", tree, c.Text(""), launch.Int(int(root.UID)), launch.Int(int(root.GID)), launch.Int(unix.AT_EMPTY_PATH))
			}
		}
	}
	return nil
}

// openDevices clones the host's device nodes: nobody in a user namespace can make any.
func (c *compiler) openDevices(spec *specs.Spec) error {
	if c.users == nil {
		return nil
	}
	c.nodes = map[string]launch.Arg{}
	for _, d := range deviceList(spec) {
		if d.kind == "p" {
			continue
		}
		node, err := hostNode(d)
		if err != nil {
			return fmt.Errorf("device %s: %w", d.path, err)
		}
		c.nodes[d.path] = c.cloneTree(node, false, "open device "+node)
	}
	return nil
}

// hostNode finds a node of the host's for a device.
func hostNode(d device) (string, error) {
	kind, class := uint32(unix.S_IFCHR), "char"
	if d.kind == "b" {
		kind, class = unix.S_IFBLK, "block"
	}
	for _, p := range []string{d.path, path.Join("/dev", class, fmt.Sprintf("%d:%d", d.major, d.minor))} {
		var st unix.Stat_t
		if unix.Stat(p, &st) == nil && st.Mode&unix.S_IFMT == kind && st.Rdev == unix.Mkdev(uint32(d.major), uint32(d.minor)) {
			return p, nil
		}
	}
	return "", fmt.Errorf("no node %d:%d in the host's /dev, which a container with users of its own needs: %w", d.major, d.minor, os.ErrNotExist)
}
