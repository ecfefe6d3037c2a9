// Package thread runs functions on threads of their own, for system calls that change a thread for good: entering or
// leaving namespaces, unsharing the working directory.
package thread

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs f on a thread that ends with it. It is never the process's main thread: that one cannot end, and all of
// /proc/self is about it, so it must stay as the process began.
func Do(f func() error) error {
	done := make(chan error, 1)
	go work(f, done)
	return <-done
}

// WithMounts runs f as [Do] does, in a mount namespace that begins as a copy of the host's and of which the host sees nothing.
// It ends with f, unless a file or another process holds it.
func WithMounts(f func() error) error {
	return Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare mounts: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		return f()
	})
}

func work(f func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		done <- f() // never unlocked: the thread ends with the goroutine
		return
	}
	// While this goroutine holds the main thread, another cannot get it.
	inner := make(chan error, 1)
	go work(f, inner)
	done <- <-inner
	runtime.UnlockOSThread()
}
