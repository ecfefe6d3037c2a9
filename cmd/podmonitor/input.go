package main

import (
	"slices"

	"golang.org/x/sys/unix"
)

// input is the container's standard input, fed by attached clients.
type input struct {
	c       *container
	fd      int
	pending []byte
	inlets  []*inlet
	watched bool
	closed  bool
}

// inlet is an attached client's end of the input.
type inlet struct {
	in *input
	fd int
}

func (in *input) addInlet(fd int) error {
	i := &inlet{in: in, fd: fd}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	events := uint32(unix.EPOLLIN)
	if len(in.pending) > 0 {
		events = 0
	}
	if err := in.c.l.watch(fd, events, i); err != nil {
		return err
	}
	in.inlets = append(in.inlets, i)
	return nil
}

func (i *inlet) ready(events uint32) {
	if len(i.in.pending) > 0 {
		// The client has hung up while the container takes nothing: what it wrote stays in
		// its pipe, and hanging up is told again and again.
		i.in.c.l.unwatch(i.fd)
		return
	}
	n, err := unix.Read(i.fd, i.in.c.l.buffers.stream)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil || n <= 0:
		i.end()
	default:
		i.in.write(i.in.c.l.buffers.stream[:n])
	}
}

// end is the end of one client's input, and with stdinOnce of the container's.
func (i *inlet) end() {
	in := i.in
	in.inlets = slices.DeleteFunc(in.inlets, func(other *inlet) bool { return other == i })
	in.c.l.close(i.fd)
	if in.c.stdinOnce && in.c.terminal < 0 {
		in.c.closeStdin()
	}
}

func (in *input) write(b []byte) {
	for len(b) > 0 {
		n, err := unix.Write(in.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			in.hold(b)
			return
		case err != nil: // the container has closed it
			in.c.closeStdin()
			return
		default:
			b = b[n:]
		}
	}
}

// hold keeps what the container does not take yet, and lets the clients wait.
func (in *input) hold(b []byte) {
	in.pending = slices.Clone(b)
	for _, i := range in.inlets {
		in.c.l.want(i.fd, 0)
	}
	if !in.watched {
		in.watched = in.c.l.watch(in.fd, unix.EPOLLOUT, in) == nil
	}
}

// ready goes on with what was held.
func (in *input) ready(uint32) {
	b := in.pending
	in.pending = nil
	if in.write(b); in.closed || len(in.pending) > 0 {
		return
	}
	in.c.l.unwatch(in.fd)
	in.watched = false
	for _, i := range in.inlets {
		if _, ok := in.c.l.sources[int32(i.fd)]; ok {
			in.c.l.want(i.fd, unix.EPOLLIN)
		} else {
			_ = in.c.l.watch(i.fd, unix.EPOLLIN, i)
		}
	}
}

func (in *input) close() {
	if in.closed {
		return
	}
	in.closed = true
	in.c.l.close(in.fd)
	for _, i := range in.inlets {
		in.c.l.close(i.fd)
	}
	in.inlets = nil
}

// Bits of an attach request: which streams travel as files, in this order.
const (
	attachStdin = 1 << iota
	attachStdout
	attachStderr
)

// attach takes over files that are a client's ends of streams. On an error they stay the caller's.
func (c *container) attach(files []int, which uint32) error {
	if c.status.Phase != running || len(c.outputs) == 0 {
		return unix.ESRCH
	}
	need := 0
	for bit := uint32(1); bit <= attachStderr; bit <<= 1 {
		if which&bit != 0 {
			need++
		}
	}
	if need != len(files) {
		return unix.EBADMSG
	}
	for bit := uint32(1); bit <= attachStderr; bit <<= 1 {
		if which&bit == 0 {
			continue
		}
		c.attachStream(bit, files[0])
		files = files[1:]
	}
	return nil
}

// attachStream closes a stream that the container does not have: the client sees its end.
func (c *container) attachStream(bit uint32, fd int) {
	err := error(unix.EPIPE)
	switch {
	case bit == attachStdin && c.stdin != nil:
		err = c.stdin.addInlet(fd)
	case bit == attachStdout && !c.outputs[0].ended:
		err = c.outputs[0].addSink(fd)
	case bit == attachStderr && len(c.outputs) > 1 && !c.outputs[1].ended:
		err = c.outputs[1].addSink(fd)
	}
	if err != nil {
		unix.Close(fd)
	}
}
