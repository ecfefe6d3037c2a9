package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// job is a launch; done runs on the loop with its outcome.
type job struct {
	code  launch.Code
	files []int
	done  func(result)
}

type result struct {
	pid, pidfd int
	err        error
}

// spawner launches on a thread of its own, which stands still while a child prepares: a slow
// execve delays other launches of the Pod, and nothing else.
type spawner struct {
	// Both sides wait in the kernel, so that no third thread passes a job on.
	wake, bell int
	runner     launch.Runner // the thread's while anything is being launched
	mu         sync.Mutex
	jobs       []job
	done       []func()
}

func newSpawner(l *loop) (*spawner, error) {
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	s := &spawner{wake: wake, bell: bell}
	go s.run()
	return s, l.watch(bell, unix.EPOLLIN, sourceFunc(func(uint32) { s.collect() }))
}

func (s *spawner) add(j job) {
	s.mu.Lock()
	s.jobs = append(s.jobs, j)
	s.mu.Unlock()
	ring(s.wake)
}

func (s *spawner) run() {
	runtime.LockOSThread()
	// Handed on to all that is started from this thread, which may have inherited another.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, usualSlack, 0, 0, 0)
	for {
		hush(s.wake)
		s.mu.Lock()
		jobs := s.jobs
		s.jobs = nil
		s.mu.Unlock()
		for _, j := range jobs {
			s.launch(j)
		}
	}
}

func (s *spawner) launch(j job) {
	var r result
	r.pid, r.pidfd, r.err = s.runner.Run(j.code, j.files)
	s.mu.Lock()
	s.done = append(s.done, func() { j.done(r) })
	s.mu.Unlock()
	ring(s.bell)
}

func (s *spawner) collect() {
	hush(s.bell)
	s.mu.Lock()
	done := s.done
	s.done = nil
	s.mu.Unlock()
	for _, f := range done {
		f()
	}
}

// keep copies a program out of the packet that it came in, to where the last one was unless a launch may need that still.
func (l *loop) keep(program []byte) []byte {
	if l.launching > 0 {
		return slices.Clone(program)
	}
	l.kept = append(l.kept[:0], program...)
	return l.kept
}

// launch runs a program; it closes files once they are used, whatever comes of it.
func (l *loop) launch(code launch.Code, own [launch.FirstFile]int, passed []int, close []int, done func(result)) {
	l.launching++
	files := append(own[:], passed...)
	l.spawner.add(job{code: code, files: files, done: func(r result) {
		l.launching--
		closeAll(close)
		done(r)
		if l.launching == 0 {
			clear(l.early)
		}
	}})
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// launchError tells which call failed.
func launchError(err error) wire.ReplyBody {
	var f *launch.Failure
	if errors.As(err, &f) {
		return wire.ReplyBody{Errno: f.Errno, Launch: true, Call: int32(f.Call)}
	}
	return wire.ReplyBody{Errno: errno(err)}
}

func errno(err error) unix.Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EINVAL
}

// receiveTerminal takes a terminal's master from the socket that the child sent it over.
func receiveTerminal(socket int) (int, error) {
	var data [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("receive terminal: %w", err)
	}
	fds, err := files(oob[:n])
	if err != nil || len(fds) != 1 {
		closeAll(fds)
		return -1, unix.EPROTO
	}
	return fds[0], unix.SetNonblock(fds[0], true)
}

// files takes the descriptors out of control messages.
func files(oob []byte) ([]int, error) {
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds, nil
}
