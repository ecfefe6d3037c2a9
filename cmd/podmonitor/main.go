// Podmonitor watches over the containers of one Pod: it starts them from launch
// programs, keeps their streams, logs and exit states, and reaps what they leave. The
// server that talks to it may die and come back; see internal/launch/monitor.
//
// It is one epoll loop and one thread that launches. Run as "pause", it is the first
// process of a PID namespace that a Pod's containers share.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listenFD is where the server leaves the listening socket.
const listenFD = 3

// gcPercent keeps the heap small; a fixed limit would make the collector thrash.
const gcPercent = 25

// memoryLimit is never reached. Without one, a collector that is switched off counts as one that waits for a heap
// without bounds, for which Go asks the kernel for huge pages: megabytes for each Pod.
const memoryLimit = 64 << 20

func main() {
	if len(os.Args) == 1 && filepath.Base(os.Args[0]) == "pause" {
		pause()
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "podmonitor:", err)
		os.Exit(1)
	}
}

func run() error {
	socket := flag.String("socket", "", "file of the listening socket; whoever removes it from the working directory ends the monitor")
	state := flag.String("state", "", "file that keeps the containers' states")
	cgroups := flag.String("cgroups", "", "colon-separated cgroup directories to move into")
	flag.Parse()
	if err := settle(*cgroups); err != nil {
		return err
	}
	l, err := newLoop(*socket, *state)
	if err != nil {
		return err
	}
	return l.run()
}

// settle makes the process independent of whoever started it, and its memory unreadable.
func settle(cgroups string) error {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make undumpable: %w", err)
	}
	// Started through a descriptor, it would be called by its number in lists of processes.
	// prctl would name this thread, which need not be the first, after which the process is called.
	if err := writeFile("/proc/self/comm", "podmonitor"); err != nil {
		return fmt.Errorf("set name: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	for _, dir := range strings.Split(cgroups, ":") {
		if dir == "" {
			continue
		}
		if err := writeFile(filepath.Join(dir, "cgroup.procs"), "0"); err != nil {
			return fmt.Errorf("enter cgroup: %w", err)
		}
	}
	unix.CloseOnExec(listenFD)
	if err := calm(); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	return unix.SetNonblock(listenFD, true)
}

// Timer slacks in nanoseconds: the kernel's own, and that of Go's background threads.
const (
	usualSlack = 50_000
	calmSlack  = 500_000
)

// calm keeps Go's background thread from waking up every 70 µs while a launch is under way, which it interrupts. What
// is started from here has the usual slack, see [spawner].
func calm() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		if t.Name() == strconv.Itoa(unix.Gettid()) {
			continue
		}
		if err := writeFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), strconv.Itoa(calmSlack)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
