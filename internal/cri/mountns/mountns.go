// Package mountns makes the mount namespace that those of containers begin as copies of. It holds what a root is made of
// and nothing else of the host's, so that the birth of a container takes no longer where the host has many mounts: each
// Pod adds some.
package mountns

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// New makes a mount namespace in which nothing exists but the directories, at the paths they have on the host. Mounts
// below a directory are not there; for one that may be a mount itself, give it as a directory of its own after the other.
// The namespace lives as long as the file, or a process in it.
func New(dirs ...string) (*os.File, error) {
	var namespace *os.File
	err := thread.WithMounts(func() (err error) {
		if namespace, err = os.Open("/proc/thread-self/ns/mnt"); err != nil {
			return err
		}
		if err = furnish(dirs); err == nil {
			err = leave()
		}
		if err != nil {
			namespace.Close()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the mount namespace that containers begin with: %w", err)
	}
	return namespace, nil
}

// Path is where the namespace can be opened while the file is open; empty for none.
func Path(namespace *os.File) string {
	if namespace == nil {
		return ""
	}
	return fmt.Sprintf("/proc/self/fd/%d", namespace.Fd())
}

// furnish covers the first directory with an empty file system, makes that the working directory, and shows the
// directories in it.
func furnish(dirs []string) error {
	trees := make([]*tree, 0, len(dirs))
	for _, dir := range dirs {
		t, err := cloneTree(dir)
		if err != nil {
			return err
		}
		defer unix.Close(t.fd)
		trees = append(trees, t)
	}
	if err := unix.Mount("tmpfs", trees[0].real, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return fmt.Errorf("mount an empty root: %w", err)
	}
	if err := unix.Chdir(trees[0].real); err != nil {
		return fmt.Errorf("enter the empty root: %w", err)
	}
	for _, t := range trees {
		if err := t.show(); err != nil {
			return fmt.Errorf("show %s: %w", t.path, err)
		}
	}
	return nil
}

// tree is a directory that belongs nowhere yet: its path, and where it really is.
type tree struct {
	path, real string
	fd         int
}

func cloneTree(path string) (*tree, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, real, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", real, err)
	}
	return &tree{path: path, real: real, fd: fd}, nil
}

// show puts the tree where it really is, below the working directory, and what leads there on the host.
func (t *tree) show() error {
	if err := os.MkdirAll("."+t.real, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, "."+t.real, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if _, err := os.Stat("." + t.path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir("."+t.path), 0o755); err != nil {
		return err
	}
	return os.Symlink(t.real, "."+t.path)
}

// leave makes the working directory the root, which nobody can write to from then on.
func leave() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the empty root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make the empty root read-only: %w", err)
	}
	return nil
}
