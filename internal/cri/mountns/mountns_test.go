package mountns_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/mountns"
	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// inside runs a function in a mount namespace.
func inside(t *testing.T, namespace *os.File, f func() error) {
	t.Helper()
	err := thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNew looks from inside for what is to be there, at the paths of the host, and for what is not.
func TestNew(t *testing.T) {
	real, link := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "link")
	disk := filepath.Join(real, "images")
	write(t, filepath.Join(real, "file"), "root")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("disk", disk, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, 0) })
	write(t, filepath.Join(disk, "layer"), "disk")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := mountns.New(link, filepath.Join(link, "images"))
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	inside(t, namespace, func() error {
		for _, path := range []string{filepath.Join(real, "file"), filepath.Join(link, "file"), filepath.Join(real, "images/layer"), filepath.Join(link, "images/layer")} {
			if _, err := os.ReadFile(path); err != nil {
				t.Error(err)
			}
		}
		for _, path := range []string{"/proc", "/etc", "/dev", filepath.Join(filepath.Dir(real), "other")} {
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("%s of the host: %v", path, err)
			}
		}
		if err := os.Mkdir("/new", 0o755); err == nil {
			t.Error("the empty root can be written to")
		}
		return os.WriteFile(filepath.Join(link, "written"), nil, 0o644)
	})
	if _, err := os.Stat(filepath.Join(real, "written")); err != nil {
		t.Error("what is written inside is not on the host:", err)
	}
	if after, err := os.ReadFile("/proc/self/mountinfo"); err != nil || string(after) != string(before) {
		t.Errorf("the host's mounts changed (%v) from\n%s\nto\n%s", err, before, after)
	}
	if _, err := mountns.New(filepath.Join(real, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}
