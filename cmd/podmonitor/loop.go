package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// source is something that epoll watches.
type source interface{ ready(events uint32) }

type sourceFunc func(events uint32)

func (f sourceFunc) ready(events uint32) { f(events) }

// watched tells a source from an earlier one with the same descriptor, whose event may still be in the batch that is
// being served.
type watched struct {
	source
	generation int32
}

// loop is the whole state of the monitor; only its own thread touches it.
type loop struct {
	state      string
	epoll      int
	sources    map[int32]watched
	watches    int32 // how many were ever watched
	conns      map[*conn]struct{}
	containers map[string]*container
	execs      map[execKey]*process
	children   map[int]child
	early      map[int]unix.WaitStatus // children that ended before their launch was known
	launching  int
	served     int    // requests since garbage was last collected
	kept       []byte // the last program
	spawner    *spawner
	self, null int
	spare      int // given up for a moment to refuse a client when descriptors run out
	lookout    lookout
	timers     []timer
	buffers    buffers // given back while nothing happens
	stopping   bool
}

// child is a process that the monitor started.
type child interface{ exited(status unix.WaitStatus) }

type timer struct {
	at time.Time
	do func()
}

// idle is when memory is given back. From then on nothing but an event wakes the monitor.
const idle = 2 * time.Second

func newLoop(socket, state string) (*loop, error) {
	l := &loop{
		state: state, sources: map[int32]watched{}, conns: map[*conn]struct{}{}, containers: map[string]*container{}, execs: map[execKey]*process{},
		children: map[int]child{}, early: map[int]unix.WaitStatus{}, lookout: newLookout(socket),
	}
	var err error
	if l.buffers, err = newBuffers(); err != nil {
		return nil, err
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	if l.self, err = unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open own executable: %w", err)
	}
	if l.null, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	if l.spare, err = unix.FcntlInt(uintptr(l.null), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("reserve a descriptor: %w", err)
	}
	if err := l.watch(listenFD, unix.EPOLLIN, sourceFunc(l.accept)); err != nil {
		return nil, err
	}
	if err := l.watchSignals(); err != nil {
		return nil, err
	}
	if l.spawner, err = newSpawner(l); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *loop) watch(fd int, events uint32, s source) error {
	l.watches++
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.watches}); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	l.sources[int32(fd)] = watched{s, l.watches}
	return nil
}

func (l *loop) want(fd int, events uint32) {
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.sources[int32(fd)].generation})
}

func (l *loop) unwatch(fd int) {
	if _, ok := l.sources[int32(fd)]; ok {
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		delete(l.sources, int32(fd))
	}
}

func (l *loop) close(fd int) {
	if fd >= 0 {
		l.unwatch(fd)
		unix.Close(fd)
	}
}

func (l *loop) after(d time.Duration, do func()) {
	l.timers = append(l.timers, timer{time.Now().Add(d), do})
}

// run serves until the monitor is told to end, or nobody can reach it any more.
func (l *loop) run() error {
	events := make([]unix.EpollEvent, 64)
	resting := false
	l.lookout.open()
	for !l.stopping && (!l.lookout.orphaned || !l.endOrphan()) {
		n, err := unix.EpollWait(l.epoll, events, l.timeout(resting))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			l.dispatch(e)
		}
		switch {
		case n > 0 && resting:
			debug.SetGCPercent(gcPercent)
			resting = false
		case n == 0 && len(l.timers) == 0 && !resting:
			l.rest()
			resting = true
		}
		l.runTimers()
	}
	return nil
}

// dispatch leaves out an event whose source was closed by an earlier one of the same batch.
func (l *loop) dispatch(e unix.EpollEvent) {
	if s, ok := l.sources[e.Fd]; ok && s.generation == e.Pad {
		s.ready(e.Events)
	}
}

// fewRequests leave less garbage than a collection takes of memory for itself: a quarter of a megabyte, for good.
const fewRequests = 64

// rest gives memory back, and keeps Go from collecting every two minutes what nobody makes.
func (l *loop) rest() {
	l.buffers.free()
	if l.launching == 0 {
		l.spawner.runner.Free()
	}
	debug.SetGCPercent(-1)
	if l.served > fewRequests {
		debug.FreeOSMemory()
		l.served = 0
	}
}

// timeout is in milliseconds; -1 is for ever.
func (l *loop) timeout(resting bool) int {
	d := idle
	if resting {
		if len(l.timers) == 0 {
			return -1
		}
		d = time.Hour
	}
	for _, t := range l.timers {
		d = min(d, time.Until(t.at)+time.Millisecond)
	}
	return int(max(d, 0) / time.Millisecond)
}

func (l *loop) runTimers() {
	now := time.Now()
	due, rest := []timer(nil), l.timers[:0]
	for _, t := range l.timers {
		if t.at.After(now) {
			rest = append(rest, t)
		} else {
			due = append(due, t)
		}
	}
	l.timers = rest
	for _, t := range due {
		t.do()
	}
}

// watchSignals turns SIGCHLD, and the SIGIO of the lookout, into an event of the loop.
func (l *loop) watchSignals() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("make eventfd: %w", err)
	}
	heed()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGIO)
	go func() {
		for range signals {
			ring(fd)
		}
	}()
	return l.watch(fd, unix.EPOLLIN, sourceFunc(func(uint32) {
		hush(fd)
		l.reap()
		if l.lookout.dir >= 0 {
			l.lookout.look()
		}
	}))
}

// heed handles what whoever started us ignores, as nohup does with SIGHUP: what we start would ignore it too, while
// what is handled starts with the default.
func heed() {
	for s := unix.Signal(1); s <= 64; s++ {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	var byDefault [4]uint64              // struct sigaction
	for s := uintptr(32); s <= 33; s++ { // C libraries keep these for themselves, and Go leaves them alone
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	}
}

func ring(fd int) { _, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func hush(fd int) {
	var b [8]byte
	_, _ = unix.Read(fd, b[:])
}

// reap takes the status of every process that ended: our own and adopted orphans.
func (l *loop) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if c, ok := l.children[pid]; ok {
			delete(l.children, pid)
			c.exited(status)
		} else if l.launching > 0 {
			l.early[pid] = status
		}
	}
}

// adopt makes a launched process known, also when it has ended meanwhile.
func (l *loop) adopt(pid int, c child) {
	status, ended := l.early[pid]
	if !ended {
		l.children[pid] = c
		return
	}
	delete(l.early, pid)
	c.exited(status)
}
