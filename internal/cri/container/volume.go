package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// mountVolumes makes the directories that show images as volumes, by the index of the mount that asks for one.
func (s *Service) mountVolumes(ctx context.Context, c *Container) (map[int]string, error) {
	volumes := map[int]string{}
	for i, m := range c.record.Config.Message.GetMounts() {
		name := m.GetImage().GetImage()
		if name == "" {
			continue
		}
		img, err := s.cfg.Images.Rootfs(ctx, name, holder(c.ID, i))
		if err != nil {
			return nil, fmt.Errorf("image volume at %s: %w", m.GetContainerPath(), err)
		}
		c.record.Mounted, m.Image.ImageRef = true, img.ID
		dir := s.volume(c.ID, i)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make image volume: %w", err)
		}
		if err := thread.Do(func() error { return mountLayers(readOnly(img), dir) }); err != nil {
			return nil, fmt.Errorf("image volume at %s: %w", m.GetContainerPath(), err)
		}
		if volumes[i], err = below(dir, m.GetImageSubPath()); err != nil {
			return nil, fmt.Errorf("image volume at %s: %w", m.GetContainerPath(), err)
		}
	}
	return volumes, nil
}

// unmountVolumes undoes mountVolumes, as far as it came.
func (s *Service) unmountVolumes(c *Container) error {
	errs := []error{unmount(s.delegatedRoot(c.ID)), unmount(s.delegatedPID(c.ID))}
	for i, m := range c.record.Config.Message.GetMounts() {
		if m.GetImage().GetImage() == "" {
			continue
		}
		if err := unmount(s.volume(c.ID, i)); err != nil {
			errs = append(errs, err)
			continue
		}
		s.cfg.Images.Release(holder(c.ID, i))
	}
	return errors.Join(errs...)
}

// unmount takes away what is mounted, if anything is.
func unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

func (s *Service) volume(id string, index int) string {
	return filepath.Join(s.dir(id), "volumes", strconv.Itoa(index))
}

// holder is the name under which a volume pins its image.
func holder(id string, index int) string { return id + "/volume/" + strconv.Itoa(index) }

// below resolves a path inside dir as if dir were the root, so that no link in an image leads out of it.
func below(dir, path string) (string, error) {
	if path == "" {
		return dir, nil
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return "", fmt.Errorf("path %q in the image: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	defer unix.Close(fd)
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
}
