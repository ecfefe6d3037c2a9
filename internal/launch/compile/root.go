package compile

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxMountData is what mount(2) takes, less the terminating zero: one page.
const maxMountData = 4095

// enterRoot makes the container's root the root. From here on no path leads to the host's files.
func (c *compiler) enterRoot(rootfs string, overlay *Overlay) error {
	if overlay == nil && c.users != nil {
		c.idmapAt(rootfs)
	} else if overlay == nil {
		c.Must(unix.SYS_MOUNT, "mount root "+rootfs, c.Text(rootfs), c.Text(rootfs), launch.Int(0), launch.Int(unix.MS_BIND|unix.MS_REC), launch.Int(0))
	} else if err := c.mountOverlay(rootfs, overlay); err != nil {
		return err
	}
	c.pivot(rootfs)
	c.openRoot()
	return nil
}

// newMounts makes the mount namespace. The sources of mounts are open by now: a copy of another than the host's lacks them.
func (c *compiler) newMounts(origin string) error {
	none := launch.Int(0)
	if origin == "" {
		c.Must(unix.SYS_UNSHARE, "make mount namespace", launch.Int(unix.CLONE_NEWNS))
		c.Must(unix.SYS_MOUNT, "keep mounts from the host", none, c.Text("/"), none, launch.Int(unix.MS_REC|unix.MS_SLAVE), none)
		return nil
	}
	f, err := c.file(origin, unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("mount namespace to begin with: %w", err)
	}
	c.Must(unix.SYS_SETNS, "leave the host's mounts", f, launch.Int(unix.CLONE_NEWNS))
	c.Must(unix.SYS_UNSHARE, "make mount namespace", launch.Int(unix.CLONE_NEWNS))
	return nil
}

// pivot makes a mount the root and lets go of the one before.
func (c *compiler) pivot(dir string) {
	c.Must(unix.SYS_CHDIR, "enter root "+dir, c.Text(dir))
	c.Must(unix.SYS_PIVOT_ROOT, "enter root "+dir, c.Text("."), c.Text("."))
	c.Must(unix.SYS_UMOUNT2, "leave the host's root", c.Text("."), launch.Int(unix.MNT_DETACH))
	c.Must(unix.SYS_CHDIR, "", c.Text("/"))
}

func (c *compiler) openRoot() {
	c.root = c.Keep(unix.SYS_OPENAT, "open root", launch.Int(unix.AT_FDCWD), c.Text("/"), launch.Int(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC))
}

// mountOverlay names layers relative to the directory that all have in common: one page must hold them.
func (c *compiler) mountOverlay(target string, o *Overlay) error {
	if len(o.Lower) == 0 {
		return errors.New("overlay without layers")
	}
	for _, p := range append([]string{o.Upper, o.Work}, o.Lower...) {
		if strings.ContainsAny(p, ",:\\") {
			return fmt.Errorf("overlay directory %q: %w", p, ErrUnsupported)
		}
	}
	if c.users != nil {
		if err := c.mapOverlay(o); err != nil {
			return err
		}
	}
	base, lower := relative(o.Lower)
	options := "lowerdir=" + strings.Join(lower, ":")
	if o.Upper != "" {
		options += ",upperdir=" + o.Upper + ",workdir=" + o.Work
		if o.Volatile {
			options += ",volatile"
		}
	} else if len(lower) == 1 {
		// overlayfs wants two layers when there is no upper one.
		c.Must(unix.SYS_MOUNT, "mount root "+target, c.Text(o.Lower[0]), c.Text(target), launch.Int(0), launch.Int(unix.MS_BIND), launch.Int(0))
		return nil
	}
	if len(options) > maxMountData {
		return c.mountManyLayers(target, o)
	}
	c.Must(unix.SYS_CHDIR, "enter the layers' directory", c.Text(base))
	c.Must(unix.SYS_MOUNT, "mount overlay on "+target, c.Text("overlay"), c.Text(target), c.Text("overlay"), launch.Int(0), c.Text(options))
	return nil
}

// mountManyLayers hands over layer by layer (Linux 6.5).
func (c *compiler) mountManyLayers(target string, o *Overlay) error {
	note := "mount overlay on " + target
	fs := c.Keep(unix.SYS_FSOPEN, note, c.Text("overlay"), launch.Int(unix.FSOPEN_CLOEXEC))
	set := func(key, value string) {
		c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_SET_STRING), c.Text(key), c.Text(value), launch.Int(0))
	}
	for _, l := range o.Lower {
		set("lowerdir+", l)
	}
	if o.Upper != "" {
		set("upperdir", o.Upper)
		set("workdir", o.Work)
	}
	if o.Volatile && o.Upper != "" {
		c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_SET_FLAG), c.Text("volatile"), launch.Int(0), launch.Int(0))
	}
	c.Must(unix.SYS_FSCONFIG, note, fs, launch.Int(unix.FSCONFIG_CMD_CREATE), launch.Int(0), launch.Int(0), launch.Int(0))
	m := c.Keep(unix.SYS_FSMOUNT, note, fs, launch.Int(unix.FSMOUNT_CLOEXEC), launch.Int(0))
	c.Must(unix.SYS_MOVE_MOUNT, note, m, c.Text(""), launch.Int(unix.AT_FDCWD), c.Text(target), launch.Int(unix.MOVE_MOUNT_F_EMPTY_PATH))
	return nil
}

// relative gives the directory that all paths have in common, and the paths from there.
func relative(paths []string) (string, []string) {
	base := filepath.Dir(paths[0])
	for _, p := range paths {
		for base != "/" && !strings.HasPrefix(p, base+"/") {
			base = filepath.Dir(base)
		}
	}
	rel := make([]string, len(paths))
	for i, p := range paths {
		rel[i] = strings.TrimPrefix(strings.TrimPrefix(p, base), "/")
	}
	return base, rel
}

// sealRoot ends the work on the root: propagation, and read-only when asked.
func (c *compiler) sealRoot(spec *specs.Spec) error {
	if p := spec.Linux.RootfsPropagation; p != "" {
		o, ok := propagations[p]
		if !ok {
			return fmt.Errorf("root propagation %q: unknown", p)
		}
		flags := int(o.propagation)
		if o.recursive {
			flags |= unix.MS_REC
		}
		none := launch.Int(0)
		c.Must(unix.SYS_MOUNT, "set root propagation "+p, none, c.Text("/"), none, launch.Int(flags), none)
	}
	if spec.Root.Readonly {
		c.setattr(c.root, attr{set: unix.MOUNT_ATTR_RDONLY}, false, "make root read-only")
	}
	return nil
}

// hidePaths covers paths with nothing, or makes them read-only. Those that do not exist need neither;
// one that cannot be looked at for another reason, behind a symbolic link say, fails the start.
func (c *compiler) hidePaths(l *specs.Linux) {
	how := c.how(unix.O_PATH, noSymlinks)
	for _, p := range l.ReadonlyPaths {
		note := "make " + p + " read-only"
		c.IfFound(func(at launch.Arg) {
			tree := c.Keep(unix.SYS_OPEN_TREE, note, at, c.Text(""), launch.Int(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC))
			c.setattr(tree, attr{set: unix.MOUNT_ATTR_RDONLY}, true, note)
			c.moveMount(tree, at, note)
		}, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
	}
	if len(l.MaskedPaths) == 0 {
		return
	}
	null := c.null(how)
	for _, p := range l.MaskedPaths {
		c.mask(p, null, how)
	}
}

// null opens the container's /dev/null and makes sure that it is.
func (c *compiler) null(how launch.Arg) launch.Arg {
	null := c.Keep(unix.SYS_OPENAT2, "open /dev/null", c.openArgs("/dev/null", how)...)
	stat := c.Space(256)
	c.Must(unix.SYS_STATX, "check /dev/null", null, c.Text(""), launch.Int(unix.AT_EMPTY_PATH), launch.Int(unix.STATX_BASIC_STATS), stat)
	const modeAt, rdevAt = 28, 128
	c.Equal(launch.At(stat, modeAt), 4, unix.S_IFMT, unix.S_IFCHR, "check /dev/null")
	c.Equal(launch.At(stat, rdevAt), 8, ^uint64(0), 1|3<<32, "check /dev/null")
	return null
}

func (c *compiler) mask(p string, null, how launch.Arg) {
	note := "mask " + p
	c.IfFound(func(at launch.Arg) {
		tree := c.Keep(unix.SYS_OPEN_TREE, note, null, c.Text(""), launch.Int(unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC))
		// A file takes /dev/null; a directory refuses it and takes an empty one.
		c.Else(2, unix.SYS_MOVE_MOUNT, note, tree, c.Text(""), at, c.Text(""), launch.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
		c.Must(unix.SYS_FCHDIR, note, at)
		c.Must(unix.SYS_MOUNT, note, c.Text("tmpfs"), c.Text("."), c.Text("tmpfs"), launch.Int(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC), c.Text("size=0k"))
	}, unix.SYS_OPENAT2, note, c.openArgs(p, how)...)
}
