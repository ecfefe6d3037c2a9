// Package thread runs functions on threads of their own, for system calls that change a thread for good: entering or
// leaving namespaces, unsharing the working directory.
package thread

import (
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
