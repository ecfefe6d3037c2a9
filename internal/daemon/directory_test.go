package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestClaim(t *testing.T) {
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(used, "--data-dir", "a"); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a directory with other files gives %v", err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(filepath.Join(fresh, registryConfigs, "docker.io"), 0o700); err != nil { // mirrors, before the first start
		t.Fatal(err)
	}
	for range 2 {
		if err := claim(fresh, "--data-dir", "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := claim(fresh, "--data-dir", "b"); err == nil || !strings.Contains(err.Error(), "instance a") {
		t.Errorf("another instance's directory gives %v", err)
	}
}

func TestDiscardRemovesOnlyWhatIsOurs(t *testing.T) {
	foreign := t.TempDir()
	if err := discard(foreign, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error("a directory without our marker was removed")
	}
	ours := filepath.Join(t.TempDir(), "ours")
	if err := claim(ours, "--data-dir", "a"); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(ours, "volume")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(foreign, below, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount (this test needs root): %v", err)
	}
	err := discard(ours, "a")
	if err := unix.Unmount(below, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), below) {
		t.Errorf("a mount below gives %v", err)
	}
	if err := discard(ours, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ours); !os.IsNotExist(err) {
		t.Errorf("our directory is still there: %v", err)
	}
}
