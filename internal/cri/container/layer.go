package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// layers are what overlayfs shows as one: lower ones, the top first, and what is written, unless it is read-only.
type layers struct {
	lower       []string
	upper, work string
}

// readOnly are the layers of an image. Overlayfs wants two at least, so an empty one goes below a single one.
func readOnly(img image.Image) layers {
	if len(img.Lower) == 1 {
		return layers{lower: []string{img.Lower[0], img.Empty}}
	}
	return layers{lower: img.Lower}
}

// mountLayers mounts layers on target. Where the option would exceed the kernel's page it is written relative to the
// layers' common parent; the thread, which must be one to be thrown away, moves there.
func mountLayers(l layers, target string) error {
	flags := uintptr(unix.MS_RDONLY)
	options := ""
	if l.upper != "" {
		flags, options = 0, ",volatile,upperdir="+l.upper+",workdir="+l.work
	}
	lower := strings.Join(l.lower, ":")
	if len("lowerdir="+lower+options) >= os.Getpagesize() {
		base := filepath.Dir(filepath.Dir(l.lower[0])) // …/snapshots/<n>/fs
		relative := make([]string, len(l.lower))
		for i, dir := range l.lower {
			rel, err := filepath.Rel(base, dir)
			if err != nil {
				return err
			}
			relative[i] = rel
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare working directory: %w", err)
		}
		if err := unix.Chdir(base); err != nil {
			return fmt.Errorf("change to %s: %w", base, err)
		}
		lower = strings.Join(relative, ":")
	}
	if err := unix.Mount("overlay", target, "overlay", flags, "lowerdir="+lower+options); err != nil {
		return fmt.Errorf("mount overlay on %s: %w", target, err)
	}
	return nil
}
