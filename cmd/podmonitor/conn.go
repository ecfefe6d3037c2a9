package main

import (
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// maxQueue is how many packets may wait for a client before it is given up.
const maxQueue = 4096

// conn is one client.
type conn struct {
	l      *loop
	fd     int
	queue  []packet
	closed bool
}

type packet struct {
	data []byte
	file int // -1 for none
}

// request is one packet with its descriptors, which whoever serves it owns.
type request struct {
	*conn
	seq   uint32
	body  *wire.Reader
	files []int
}

func (l *loop) accept(uint32) {
	fd, _, err := unix.Accept4(listenFD, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err == unix.EMFILE || err == unix.ENFILE {
		l.refuse()
	}
	if err != nil {
		return
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Uid != uint32(unix.Geteuid()) {
		unix.Close(fd)
		return
	}
	c := &conn{l: l, fd: fd}
	if l.watch(fd, unix.EPOLLIN, c) != nil {
		unix.Close(fd)
		return
	}
	l.conns[c] = struct{}{}
	l.lookout.close()
}

// refuse hangs up on a client for whom no descriptor is left, who would be announced again
// and again otherwise.
func (l *loop) refuse() {
	unix.Close(l.spare)
	if fd, _, err := unix.Accept4(listenFD, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err == nil {
		unix.Close(fd)
	}
	l.spare, _ = unix.FcntlInt(uintptr(l.null), unix.F_DUPFD_CLOEXEC, 0)
}

func (c *conn) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.closed {
		c.receive()
	}
}

func (c *conn) receive() {
	data := c.l.buffers.packet
	n, oobn, flags, _, err := unix.Recvmsg(c.fd, data, c.l.buffers.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n == 0 {
		c.close()
		return
	}
	fds, err := files(c.l.buffers.oob[:oobn])
	if err != nil || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		closeAll(fds)
		c.close()
		return
	}
	r := wire.NewReader(data[:n])
	h := wire.DecodeHeader(r)
	if h.InFile && len(fds) > 0 {
		var content []byte
		content, err = readAll(fds[0])
		unix.Close(fds[0])
		fds = fds[1:]
		r = wire.NewReader(content)
	}
	if err != nil || r.Err() != nil {
		closeAll(fds)
		c.close()
		return
	}
	c.l.serve(h.Kind, request{conn: c, seq: h.Seq, body: r, files: fds})
}

// readAll reads a memory file from its start.
func readAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size > wire.MaxBody || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EMSGSIZE
	}
	b := make([]byte, st.Size)
	for at := 0; at < len(b); {
		n, err := unix.Pread(fd, b[at:], int64(at))
		if err != nil || n == 0 {
			return nil, unix.EIO
		}
		at += n
	}
	return b, nil
}

func (r request) fail(errno unix.Errno) {
	closeAll(r.files)
	r.reply(wire.ReplyBody{Errno: errno})
}

func (r request) reply(b wire.ReplyBody) { r.replyFile(b, -1) }

// replyFile answers with a descriptor, which it takes over.
func (r request) replyFile(b wire.ReplyBody, file int) {
	w := &wire.Writer{}
	wire.Header{Seq: r.seq, Kind: wire.Reply}.Encode(w)
	b.Encode(w)
	r.send(packet{w.B, file})
}

func (c *conn) send(p packet) {
	if c.closed || len(c.queue) > maxQueue {
		closePacket(p)
		c.close()
		return
	}
	c.queue = append(c.queue, p)
	if len(c.queue) == 1 {
		c.flush()
	}
}

func closePacket(p packet) {
	if p.file >= 0 {
		unix.Close(p.file)
	}
}

func (c *conn) flush() {
	for len(c.queue) > 0 && !c.closed {
		p := c.queue[0]
		var oob []byte
		if p.file >= 0 {
			oob = unix.UnixRights(p.file)
		}
		err := unix.Sendmsg(c.fd, p.data, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err == unix.EAGAIN {
			c.l.want(c.fd, unix.EPOLLIN|unix.EPOLLOUT)
			return
		}
		if err != nil {
			c.close()
			return
		}
		closePacket(p)
		c.queue = c.queue[1:]
	}
	if !c.closed {
		c.queue = nil
		c.l.want(c.fd, unix.EPOLLIN)
	}
}

func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	for _, p := range c.queue {
		closePacket(p)
	}
	c.queue = nil
	delete(c.l.conns, c)
	c.l.close(c.fd)
	if len(c.l.conns) == 0 {
		c.l.lookout.open()
	}
}

// broadcast tells all clients that a container changed.
func (l *loop) broadcast(s wire.Status) {
	w := &wire.Writer{}
	wire.Header{Kind: wire.Event}.Encode(w)
	s.Encode(w)
	for c := range l.conns {
		c.send(packet{w.B, -1})
	}
}
