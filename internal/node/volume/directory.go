package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// prepareEmptyDir makes a directory that everyone may write to, in memory if asked. From then on it is the Pod's: what
// its containers make of owner and mode stays, whatever the node goes through. A size limit bounds the memory kind by
// the kernel; for the disk kind see [Set.Overfull].
func prepareEmptyDir(e *corev1.EmptyDirVolumeSource, path string, gid *int64) error {
	if e != nil && e.Medium == corev1.StorageMediumMemory {
		return prepareMemory(e, path, gid)
	}
	if e != nil && e.Medium != corev1.StorageMediumDefault {
		return fmt.Errorf("emptyDir medium %q is not supported by this node", e.Medium)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	fresh := path + ".new" // no volume's name holds a dot
	if err := os.MkdirAll(fresh, 0o777); err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	if err := open(fresh, gid, 0o777); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	return nil
}

func prepareMemory(e *corev1.EmptyDirVolumeSource, path string, gid *int64) error {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fmt.Errorf("make volume directory: %w", err)
	}
	if mounted, err := mountinfo.Mounted(path); err == nil && mounted {
		return nil
	}
	var size int64
	if e.SizeLimit != nil {
		size = e.SizeLimit.Value()
	}
	if err := mountTmpfs(path, size, 0o777); err != nil {
		return err
	}
	return open(path, gid, 0o777|os.ModeSticky) // as the kernel makes one, and the kubelet leaves it
}

// open gives an empty volume its mode; with gid, what is made in it belongs to that group (fsGroup, which has
// no more to do here, whatever its change policy: an emptyDir starts empty and is set up once).
func open(path string, gid *int64, mode os.FileMode) error {
	if gid != nil {
		if err := own(path, nil, gid); err != nil {
			return err
		}
		mode |= os.ModeSetgid
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("open volume directory: %w", err)
	}
	return nil
}

// mountTmpfs mounts a tmpfs on path unless there is a mount already. size 0 is the kernel's default.
func mountTmpfs(path string, size int64, mode uint32) error {
	mounted, err := mountinfo.Mounted(path)
	if err != nil {
		return fmt.Errorf("look for mount on %s: %w", path, err)
	}
	if mounted {
		return nil
	}
	options := fmt.Sprintf("mode=%04o", mode)
	if size > 0 {
		options += fmt.Sprintf(",size=%d", size)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", path, err)
	}
	return nil
}

// prepareHostPath checks or makes what a hostPath volume names.
func prepareHostPath(h *corev1.HostPathVolumeSource) error {
	if h.Type == nil || *h.Type == corev1.HostPathUnset {
		return nil
	}
	info, err := os.Stat(h.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("look at hostPath: %w", err)
	}
	switch *h.Type {
	case corev1.HostPathDirectoryOrCreate:
		if missing {
			return os.MkdirAll(h.Path, 0o755)
		}
	case corev1.HostPathFileOrCreate:
		if missing {
			return createFile(h.Path)
		}
	}
	if missing {
		return fmt.Errorf("hostPath type check failed: %s is not a %s: it does not exist", h.Path, noun(*h.Type))
	}
	if !isType(info.Mode(), *h.Type) {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", h.Path, noun(*h.Type))
	}
	return nil
}

func createFile(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("create hostPath file: %w", err)
	}
	return f.Close()
}

func isType(mode os.FileMode, t corev1.HostPathType) bool {
	switch t {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return mode.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return mode.IsRegular()
	case corev1.HostPathSocket:
		return mode&os.ModeSocket != 0
	case corev1.HostPathCharDev:
		return mode&os.ModeCharDevice != 0
	case corev1.HostPathBlockDev:
		return mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0
	}
	return false
}

func noun(t corev1.HostPathType) string {
	switch t {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return "directory"
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return "file"
	case corev1.HostPathSocket:
		return "socket file"
	case corev1.HostPathCharDev:
		return "character device"
	case corev1.HostPathBlockDev:
		return "block device"
	}
	return string(t)
}
