package compile

import (
	"maps"
	"path"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	"golang.org/x/sys/unix"
)

// Ways to resolve a path below the container's root.
const (
	inRoot     = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	noSymlinks = inRoot | unix.RESOLVE_NO_SYMLINKS
)

// how keeps struct open_how.
func (c *compiler) how(flags, resolve int) launch.Arg {
	return c.Words(launch.Int(flags|unix.O_CLOEXEC), launch.Int(0), launch.Int(resolve))
}

const sizeofHow = 24

// openArgs are the arguments of openat2 for a path in the container.
func (c *compiler) openArgs(p string, how launch.Arg) []launch.Arg {
	return []launch.Arg{c.root, c.Text(p), how, launch.Int(sizeofHow)}
}

// ensureDir opens a directory in the container (O_PATH), which it makes when it lacks.
func (c *compiler) ensureDir(p, note string) launch.Arg { return c.ensureDirBy(p, inRoot, note) }

func (c *compiler) ensureDirBy(p string, resolve int, note string) launch.Arg {
	p = path.Clean("/" + p)
	if dir, ok := c.fresh[p]; ok {
		return dir
	}
	if dir, ok := c.fresh[path.Dir(p)]; ok {
		c.May(unix.SYS_MKDIRAT, note, dir, c.Text(path.Base(p)), launch.Int(0o755))
		return c.openFresh(dir, p, unix.O_DIRECTORY, note)
	}
	slot := c.NewSlot()
	how := c.how(unix.O_PATH|unix.O_DIRECTORY, resolve)
	if p == "/" {
		c.KeepIn(slot, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
		return slot
	}
	c.ElseKeep(slot, func() {
		c.makeDirs(p, how, resolve == inRoot, note)
		c.KeepIn(slot, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
	}, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
	return slot
}

// openFresh opens what the program itself has put into a fresh file system.
func (c *compiler) openFresh(dir launch.Arg, p string, flags int, note string) launch.Arg {
	return c.Keep(unix.SYS_OPENAT, note, dir, c.Text(path.Base(p)), launch.Int(flags|unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC))
}

// makeDirs makes a directory and its parents, each in what its parent resolves to. Where links
// may be followed, one that leads nowhere gives way to a directory.
func (c *compiler) makeDirs(p string, how launch.Arg, links bool, note string) {
	parent, names := "/", strings.Split(strings.Trim(p, "/"), "/")
	dir, made := c.NewSlot(), c.NewSlot()
	for _, name := range names {
		c.KeepIn(dir, unix.SYS_OPENAT2, note, c.openArgs(parent, how)...)
		c.May(unix.SYS_MKDIRAT, note, dir, c.Text(name), launch.Int(0o755))
		parent = path.Join(parent, name)
		if links {
			c.ElseKeep(made, func() {
				c.OrSkip(func(launch.Arg) {
					c.May(unix.SYS_UNLINKAT, note, dir, c.Text(name), launch.Int(0))
					c.May(unix.SYS_MKDIRAT, note, dir, c.Text(name), launch.Int(0o755))
				}, unix.SYS_READLINKAT, note, dir, c.Text(name), c.Space(8), launch.Int(8))
			}, unix.SYS_OPENAT2, note, c.openArgs(parent, how)...)
		}
		c.May(unix.SYS_CLOSE, "", dir)
	}
}

// ensureFile opens a file in the container (O_PATH), which it makes when it lacks. A
// symbolic link that leads nowhere gives way to the file. It is not opened for writing: that
// would keep its mount from becoming read-only.
func (c *compiler) ensureFile(p, note string) launch.Arg {
	p = path.Clean("/" + p)
	if dir, ok := c.fresh[path.Dir(p)]; ok {
		c.May(unix.SYS_MKNODAT, note, dir, c.Text(path.Base(p)), launch.Int(unix.S_IFREG|0o644), launch.Int(0))
		return c.openFresh(dir, p, 0, note)
	}
	slot := c.NewSlot()
	how := c.how(unix.O_PATH, inRoot)
	c.ElseKeep(slot, func() {
		parent := c.ensureDir(path.Dir(p), note)
		c.May(unix.SYS_UNLINKAT, note, parent, c.Text(path.Base(p)), launch.Int(0))
		c.KeepIn(slot, unix.SYS_OPENAT, note, parent, c.Text(path.Base(p)),
			launch.Int(unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), launch.Int(0o644))
		c.KeepIn(slot, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
	}, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
	return slot
}

// startFresh notes that a file system was just mounted that nobody has put anything into: in it, names are made where
// they are wanted and not looked for first.
func (c *compiler) startFresh(p, note string) {
	p = path.Clean("/" + p)
	c.fresh[p] = c.Keep(unix.SYS_OPENAT2, note, c.openArgs(p, c.how(unix.O_PATH|unix.O_DIRECTORY, inRoot))...)
}

// cover notes that something is mounted on a path: what was fresh there is out of sight.
func (c *compiler) cover(p string) {
	p = path.Clean("/" + p)
	maps.DeleteFunc(c.fresh, func(dir string, _ launch.Arg) bool {
		return dir == p || strings.HasPrefix(dir, strings.TrimSuffix(p, "/")+"/")
	})
}
