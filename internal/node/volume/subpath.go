package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// beneath makes every step of a lookup stay below the directory it starts from: the answer to CVE-2021-25741.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS

// SubPath binds the given part of a volume to a place of its own and returns that place. A container may write into
// its volume at any time, so the path is opened once, never leaves the volume, and what was opened is what is bound.
// A part that does not exist is made as a directory, with the mode that the volume itself has.
func (s *Set) SubPath(pod *corev1.Pod, volume, container string, index int, sub string) (string, error) {
	base, err := s.Path(pod, volume)
	if err != nil {
		return "", err
	}
	source, err := openBeneath(base, sub)
	if err != nil {
		return "", fmt.Errorf("open subPath %q of volume %q: %w", sub, volume, err)
	}
	defer unix.Close(source)
	target := filepath.Join(s.PodDir(pod.UID), "volume-subpaths", volume, container, strconv.Itoa(index))
	if err := makeMountPoint(source, target); err != nil {
		return "", err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(source), target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("bind subPath %q of volume %q: %w", sub, volume, err)
	}
	return target, nil
}

// openBeneath returns a descriptor (O_PATH) of sub below base, making missing directories.
func openBeneath(base, sub string) (int, error) {
	if !filepath.IsLocal(sub) {
		return -1, fmt.Errorf("path %q leaves the volume", sub)
	}
	root, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: beneath}
	fd, err := unix.Openat2(root, sub, how)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	var volume unix.Stat_t
	if err := unix.Fstat(root, &volume); err != nil {
		return -1, err
	}
	if err := makeBeneath(root, filepath.Clean(sub), volume.Mode&0o7777); err != nil {
		return -1, err
	}
	return unix.Openat2(root, sub, how)
}

// makeBeneath makes the directory sub and its missing parents below root.
func makeBeneath(root int, sub string, mode uint32) error {
	parent, name := filepath.Split(sub)
	if parent = filepath.Clean(parent); parent != "." {
		if err := makeBeneath(root, parent, mode); err != nil {
			return err
		}
	}
	dir, err := unix.Openat2(root, parent, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath})
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Mkdirat(dir, name, 0o750); errors.Is(err, unix.EEXIST) {
		return nil
	} else if err != nil {
		return err
	}
	made, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return unix.Fchmod(made, mode) // which no umask cuts
}

// makeMountPoint makes target a file or a directory, as source is, with nothing mounted on it.
func makeMountPoint(source int, target string) error {
	var stat unix.Stat_t
	if err := unix.Fstat(source, &stat); err != nil {
		return fmt.Errorf("look at subPath: %w", err)
	}
	for {
		err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // nothing is mounted there, so what is removed below is ours
		}
		if err != nil {
			return fmt.Errorf("unmount stale subPath: %w", err)
		}
	}
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove stale subPath: %w", err)
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(target, 0o750); err != nil {
			return fmt.Errorf("make subPath's mount point: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return fmt.Errorf("make subPath's mount point: %w", err)
	}
	if err := os.WriteFile(target, nil, 0o640); err != nil {
		return fmt.Errorf("make subPath's mount point: %w", err)
	}
	return nil
}

// ReadFile reads a small file of the Pod's volume without leaving the volume.
func (s *Set) ReadFile(pod *corev1.Pod, volume, path string) ([]byte, error) {
	base, err := s.Path(pod, volume)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(path)
}
