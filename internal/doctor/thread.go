package doctor

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// inNamespaces calls f on a thread with new namespaces, CLONE_NEW* flags. The thread ends with the call, and the
// namespaces with it.
func inNamespaces(flags int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked, so that the runtime ends the thread instead of using it for other goroutines.
		runtime.LockOSThread()
		if flags&unix.CLONE_NEWNS != 0 {
			flags |= unix.CLONE_FS
		}
		if err := unix.Unshare(flags); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
