package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Rotator keeps a container's log below MaxSize bytes a file and MaxFiles files, the present one included.
type Rotator struct {
	MaxSize  int64
	MaxFiles int
	// Reopen makes the runtime write to a new file of the old name.
	Reopen func(ctx context.Context, containerID string) error
}

// stampFormat sorts by time and is what a rotated file's name ends with.
const stampFormat = "20060102-150405.000"

// Rotate rotates the log of a running container if it has grown too big.
func (r Rotator) Rotate(ctx context.Context, containerID, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r.Reopen(ctx, containerID) // a rotation that was cut off after the rename
	}
	if err != nil {
		return fmt.Errorf("look at log: %w", err)
	}
	if info.Size() <= r.MaxSize {
		return nil
	}
	if err := r.prune(path); err != nil {
		return err
	}
	old := path + "." + time.Now().UTC().Format(stampFormat)
	if err := os.Rename(path, old); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := r.Reopen(ctx, containerID); err != nil {
		return errors.Join(fmt.Errorf("reopen log: %w", err), os.Rename(old, path))
	}
	return nil
}

// prune removes the oldest rotated files, so that one more has room.
func (r Rotator) prune(path string) error {
	rotated, err := filepath.Glob(path + ".*")
	if err != nil {
		return fmt.Errorf("list rotated logs: %w", err)
	}
	slices.Sort(rotated)
	for len(rotated) > max(r.MaxFiles-2, 0) {
		if err := os.Remove(rotated[0]); err != nil {
			return fmt.Errorf("remove rotated log: %w", err)
		}
		rotated = rotated[1:]
	}
	return nil
}
