package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// Below minSpace bytes the store cannot be opened; below goodSpace an image import is likely to fill the disk.
const (
	minSpace  = 64 << 20
	goodSpace = 1 << 30
	minInodes = 10_000
)

func checkDataDir(_ context.Context, cfg Config) Finding {
	return checkWritable(cfg.DataDir, "--data-dir")
}

func checkRunDir(_ context.Context, cfg Config) Finding {
	return checkWritable(cfg.RunDir, "--run-dir")
}

// checkWritable tries to create a file where dir is or will be.
func checkWritable(dir, flag string) Finding {
	if dir == "" {
		return ok("not asked for")
	}
	parent, err := nearest(dir)
	if err != nil {
		return fatal("choose another with "+flag, "%s: %v", dir, err)
	}
	probe, err := os.MkdirTemp(parent, ".mayfly-doctor-")
	if err != nil {
		return fatal("remount it writable, or choose another directory with "+flag, "%s cannot be written: %v", parent, err)
	}
	if err := os.Remove(probe); err != nil {
		return warning("", "remove %s: %v", probe, err)
	}
	return ok("%s", dir)
}

// nearest is dir, or its closest parent that exists and is a directory.
func nearest(dir string) (string, error) {
	for path := filepath.Clean(dir); ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return path, nil
		case err == nil:
			return "", fmt.Errorf("%s is not a directory", path)
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case path == filepath.Dir(path):
			return "", err
		}
	}
}

func checkDiskSpace(_ context.Context, cfg Config) Finding {
	if cfg.DataDir == "" {
		return ok("not asked for")
	}
	parent, err := nearest(cfg.DataDir)
	if err != nil {
		return fatal("choose another with --data-dir", "%v", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(parent, &st); err != nil {
		return fatal("choose another with --data-dir", "statfs %s: %v", parent, err)
	}
	return judgeSpace(cfg.DataDir, st.Bavail*uint64(st.Bsize), st.Files, st.Ffree)
}

// judgeSpace takes bytes, and inodes in all and free; file systems without fixed inodes say 0 of both.
func judgeSpace(dir string, free, inodes, freeInodes uint64) Finding {
	remedy := "free some, or choose another file system with --data-dir"
	switch {
	case free < minSpace:
		return fatal(remedy, "%d MB left at %s, and %d are needed to start", free>>20, dir, minSpace>>20)
	case inodes > 0 && freeInodes < minInodes:
		return warning(remedy, "%d inodes left at %s: images will not fit", freeInodes, dir)
	case free < goodSpace:
		return warning(remedy, "%d MB left at %s: images may not fit", free>>20, dir)
	}
	return ok("%.1f GB left at %s", float64(free)/(1<<30), dir)
}

// checkOverlay mounts an overlay whose upper directory is where the containers' will be.
func checkOverlay(_ context.Context, cfg Config) Finding {
	if list, err := os.ReadFile("/proc/filesystems"); err == nil && !listsFilesystem(string(list), "overlay") {
		return fatal("modprobe overlay", "the kernel has no overlayfs")
	}
	if cfg.DataDir == "" || os.Geteuid() != 0 {
		return ok("in the kernel")
	}
	parent, err := nearest(cfg.DataDir)
	if err != nil {
		return fatal("choose another with --data-dir", "%v", err)
	}
	dir, err := os.MkdirTemp(parent, ".mayfly-doctor-")
	if err != nil {
		return fatal("choose another with --data-dir", "%s cannot be written: %v", parent, err)
	}
	err = mountOverlay(dir)
	if cleanup := os.RemoveAll(dir); cleanup != nil {
		return warning("", "remove %s: %v", dir, cleanup)
	}
	if err != nil {
		return fatal("choose a directory on ext4, xfs, btrfs or tmpfs with --data-dir",
			"%s is on %s, which cannot hold containers: %v", cfg.DataDir, filesystem(parent), err)
	}
	return ok("works on %s (%s)", cfg.DataDir, filesystem(parent))
}

// listsFilesystem reads the text of /proc/filesystems.
func listsFilesystem(list, name string) bool {
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == name {
			return true
		}
	}
	return false
}

// mountOverlay mounts an overlay below dir in a mount namespace that ends with the call.
func mountOverlay(dir string) error {
	options := make([]string, 0, 3)
	for _, name := range []string{"lower", "upper", "work"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		options = append(options, name+"dir="+path)
	}
	return thread.WithMounts(func() error {
		if err := unix.Mount("overlay", dir, "overlay", 0, strings.Join(options, ",")); err != nil {
			return fmt.Errorf("mount overlay: %w", err)
		}
		return unix.Unmount(dir, unix.MNT_DETACH)
	})
}

// filesystem names the file system of path as mount(8) does, or by its number in linux/magic.h.
func filesystem(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "an unknown file system"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs",
		unix.RAMFS_MAGIC: "ramfs", unix.FUSE_SUPER_MAGIC: "fuse", 0x2fc12fc1: "zfs",
	}
	if name, found := names[int64(st.Type)]; found { //nolint:unconvert // not int64 on every architecture
		return name
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
