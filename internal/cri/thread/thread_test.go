package thread

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMainThreadStays unshares often enough that the main thread would be hit, and looks whether it was.
func TestMainThreadStays(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			if err := Do(func() error { return unix.Unshare(unix.CLONE_NEWUTS) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if after, err := os.Readlink("/proc/self/ns/uts"); err != nil || after != before {
		t.Errorf("the process is in %s, was in %s (%v)", after, before, err)
	}
}
