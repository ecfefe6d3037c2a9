package image

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountOverlay shows layers, and the empty one, as a container would see them.
func mountOverlay(t *testing.T, lower []string) string {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("overlay", root, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(append(lower, t.TempDir()), ":")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root
}
