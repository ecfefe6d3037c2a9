package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestStaleEvent: the descriptor of a source that was closed is given to another one while an event of the first is
// still to be served.
func TestStaleEvent(t *testing.T) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	l := &loop{epoll: epoll, sources: map[int32]watched{}}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[1]) // hung up
	fd, told := pipe[0], 0
	if err := l.watch(fd, unix.EPOLLIN, sourceFunc(func(uint32) { t.Error("told a source that is closed") })); err != nil {
		t.Fatal(err)
	}
	stale := wait(t, epoll)
	l.close(fd)
	if fd, err = unix.Eventfd(1, unix.EFD_CLOEXEC); err != nil || fd != int(stale.Fd) {
		t.Fatalf("descriptor %d instead of %d, %v", fd, stale.Fd, err)
	}
	defer l.close(fd)
	if err := l.watch(fd, 0, sourceFunc(func(uint32) { told++ })); err != nil {
		t.Fatal(err)
	}
	if l.dispatch(stale); told != 0 {
		t.Error("told a source what had happened to another")
	}
	l.want(fd, unix.EPOLLIN)
	if l.dispatch(wait(t, epoll)); told != 1 {
		t.Errorf("told its own event %d times", told)
	}
}

func wait(t *testing.T, epoll int) unix.EpollEvent {
	t.Helper()
	events := make([]unix.EpollEvent, 2)
	if n, err := unix.EpollWait(epoll, events, 1000); err != nil || n != 1 {
		t.Fatalf("%d events, %v", n, err)
	}
	return events[0]
}
