package doctor

import (
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// inNamespaces calls f on a thread with new namespaces, CLONE_NEW* flags. The thread ends with the call, and the
// namespaces with it; the rest of the process, and what /proc/self tells of it, stays as it was.
func inNamespaces(flags int, f func() error) error {
	return thread.Do(func() error {
		if err := unix.Unshare(flags); err != nil {
			return err
		}
		return f()
	})
}
