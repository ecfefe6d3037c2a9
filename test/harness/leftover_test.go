package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestLeftovers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts and makes interfaces, which takes root")
	}
	i, err := New(Tools{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		i.sweep()
		_ = os.RemoveAll(i.Dir)
	})
	if left := i.Leftovers(); len(left) > 0 {
		t.Fatalf("at first: %v", left)
	}
	mount := filepath.Join(i.Dir, "data", "mount")
	if err := os.MkdirAll(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "mf-" + i.ID()[:6]
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
		t.Fatal(err)
	}
	left := strings.Join(i.Leftovers(), "\n")
	for _, want := range []string{"mount " + mount, "interface " + attributes.Name} {
		if !strings.Contains(left, want) {
			t.Errorf("no %q in %q", want, left)
		}
	}
	i.sweep()
	if left := i.Leftovers(); len(left) > 0 {
		t.Errorf("after the sweep: %v", left)
	}
}
