package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// A transfer ends when less than one part in reserve of the disk is free, or of its inodes, but for large disks: what an
// image says of its size need not be true, and a few megabytes can unpack to more than any disk holds.
const (
	reserve       = 20
	reserveBytes  = 1 << 30
	reserveInodes = 1 << 16
)

// transferred moves an image, and watches over the room on the disk as it goes on.
func (s *Store) transferred(ctx context.Context, from, to any, report func(Progress)) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if err := s.room(); err != nil {
		return err
	}
	tell := translate(report)
	err := s.transfer.Transfer(ctx, from, to, transfer.WithProgress(func(p transfer.Progress) {
		if err := s.room(); err != nil {
			end(err)
		}
		tell(p)
	}))
	if cause := context.Cause(ctx); err != nil && errdefs.IsResourceExhausted(cause) {
		return errors.Join(cause, err)
	}
	return err
}

// room is nil while the disk has some for images.
func (s *Store) room() error {
	var disk unix.Statfs_t
	if err := unix.Statfs(s.config.RootDir, &disk); err != nil {
		return fmt.Errorf("look for room in %s: %w", s.config.RootDir, err)
	}
	size := uint64(disk.Bsize)
	switch {
	case disk.Bavail*size < min(disk.Blocks*size/reserve, reserveBytes):
		return fmt.Errorf("%d of %d MB are free in %s, too little for images: free some, or remove images: %w", disk.Bavail*size>>20, disk.Blocks*size>>20, s.config.RootDir, errdefs.ErrResourceExhausted)
	case disk.Files > 0 && disk.Ffree < min(disk.Files/reserve, reserveInodes):
		return fmt.Errorf("%d of %d inodes are free in %s, too few for images: remove files, or images: %w", disk.Ffree, disk.Files, s.config.RootDir, errdefs.ErrResourceExhausted)
	}
	return nil
}
