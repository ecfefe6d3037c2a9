package main

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stall is how long an attached client may take nothing before it is dropped; until
	// then it holds up the container's output, as a terminal would.
	stall = time.Second
	// maxDrain bounds what is read after the container's end: what pipes can hold.
	maxDrain = 2 << 20
)

// output is a stream of the container's.
type output struct {
	c       *container
	fd      int
	lines   lines
	sinks   []*sink
	blocked int // sinks that hold the stream up
	ended   bool
}

// ready reads once, so that no stream starves the others.
func (o *output) ready(uint32) {
	n, err := unix.Read(o.fd, o.c.l.buffers.stream)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil || n <= 0:
		o.end()
	default:
		o.take(o.c.l.buffers.stream[:n])
	}
}

func (o *output) take(b []byte) {
	o.lines.write(&o.c.log, b)
	for _, s := range slices.Clone(o.sinks) {
		s.write(b)
	}
}

// drain reads what is left and ends the stream, whoever still holds it open.
func (o *output) drain() {
	for total := 0; !o.ended && total < maxDrain; {
		n, err := unix.Read(o.fd, o.c.l.buffers.stream)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		total += n
		o.take(o.c.l.buffers.stream[:n])
	}
	o.end()
}

func (o *output) end() {
	if o.ended {
		return
	}
	o.ended = true
	o.lines.end(&o.c.log)
	o.c.l.close(o.fd)
	for _, s := range slices.Clone(o.sinks) {
		s.finish()
	}
}

func (o *output) block() {
	if o.blocked++; o.blocked == 1 && !o.ended {
		o.c.l.want(o.fd, 0)
	}
}

func (o *output) unblock() {
	if o.blocked--; o.blocked == 0 && !o.ended {
		o.c.l.want(o.fd, unix.EPOLLIN)
	}
}

// sink is an attached client's end of an output.
type sink struct {
	o        *output
	fd       int
	pending  []byte
	progress time.Time
	last     bool // close once pending is written
	closed   bool
}

func (o *output) addSink(fd int) error {
	s := &sink{o: o, fd: fd}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	// No events asked for: an error (the reader has gone) is told always.
	if err := o.c.l.watch(fd, 0, s); err != nil {
		return err
	}
	o.sinks = append(o.sinks, s)
	return nil
}

func (s *sink) write(b []byte) {
	if len(s.pending) > 0 {
		s.pending = append(s.pending, b...)
		return
	}
	rest, ok := s.push(b)
	if !ok || len(rest) == 0 {
		return
	}
	s.pending = slices.Clone(rest)
	s.progress = time.Now()
	s.o.c.l.want(s.fd, unix.EPOLLOUT)
	s.o.block()
	s.o.c.l.after(stall, s.check)
}

// push writes what the client takes.
func (s *sink) push(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 {
		n, err := unix.Write(s.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return b, true
		case err != nil:
			s.close()
			return nil, false
		default:
			b = b[n:]
		}
	}
	return nil, true
}

func (s *sink) ready(events uint32) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		s.close()
		return
	}
	if len(s.pending) == 0 {
		return
	}
	before := len(s.pending)
	rest, ok := s.push(s.pending)
	if !ok {
		return
	}
	if len(rest) < before {
		s.progress = time.Now()
	}
	s.pending = rest
	if len(rest) > 0 {
		return
	}
	s.pending = nil
	s.o.unblock()
	s.o.c.l.want(s.fd, 0)
	if s.last {
		s.close()
	}
}

// check drops a client that takes nothing.
func (s *sink) check() {
	if s.closed || len(s.pending) == 0 {
		return
	}
	if left := stall - time.Since(s.progress); left > 0 {
		s.o.c.l.after(left, s.check)
		return
	}
	s.close()
}

// finish closes the client's stream once it has taken all.
func (s *sink) finish() {
	s.last = true
	if len(s.pending) == 0 {
		s.close()
	}
}

func (s *sink) close() {
	if s.closed {
		return
	}
	s.closed = true
	if len(s.pending) > 0 {
		s.pending = nil
		s.o.unblock()
	}
	s.o.sinks = slices.DeleteFunc(s.o.sinks, func(other *sink) bool { return other == s })
	s.o.c.l.close(s.fd)
}
