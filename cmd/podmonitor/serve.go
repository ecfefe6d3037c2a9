package main

import (
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// serve answers one request.
func (l *loop) serve(kind wire.Kind, r request) {
	l.served++
	switch kind {
	case wire.Start:
		l.start(r)
		return
	case wire.Exec:
		l.exec(r)
		return
	}
	var b wire.ControlBody
	if err := b.Decode(r.body); err != nil {
		r.fail(unix.EBADMSG)
		return
	}
	switch kind {
	case wire.List:
		l.list(r, b.ID)
	case wire.Shutdown:
		l.shutdown(r)
	case wire.ExecSignal:
		l.signalExec(r, b)
	default:
		l.control(kind, r, b)
	}
}

func (l *loop) list(r request, id string) {
	defer closeAll(r.files)
	var list []wire.Status
	if id == "" {
		list = l.statuses()
	} else if c, ok := l.containers[id]; ok {
		list = []wire.Status{c.status}
	} else {
		r.reply(wire.ReplyBody{Errno: unix.ENOENT})
		return
	}
	r.reply(wire.ReplyBody{PID: uint32(unix.Getpid()), List: list})
}

func (l *loop) shutdown(r request) {
	closeAll(r.files)
	for _, c := range l.containers {
		if c.status.Phase != exited {
			r.reply(wire.ReplyBody{Errno: unix.EBUSY})
			return
		}
	}
	_ = unix.Unlink(l.lookout.path)
	r.reply(wire.ReplyBody{})
	l.stopping = true
}

// control serves what concerns one container.
func (l *loop) control(kind wire.Kind, r request, b wire.ControlBody) {
	c, ok := l.containers[b.ID]
	if !ok {
		r.fail(unix.ENOENT)
		return
	}
	var err error
	switch kind {
	case wire.Attach:
		err = c.attach(r.files, b.A)
		if err == nil {
			r.files = nil
		}
	case wire.Resize:
		err = c.resize(uint16(b.A), uint16(b.B))
	case wire.CloseStdin:
		c.closeStdin()
	case wire.ReopenLog:
		err = c.log.open()
	case wire.Signal:
		err = c.signal(unix.Signal(b.A), b.B != 0)
	case wire.Remove:
		err = l.remove(c)
	default:
		err = unix.EOPNOTSUPP
	}
	closeAll(r.files)
	if err != nil {
		r.reply(wire.ReplyBody{Errno: errno(err)})
		return
	}
	r.reply(wire.ReplyBody{})
}

func (l *loop) remove(c *container) error {
	if c.status.Phase != exited {
		return unix.EBUSY
	}
	c.log.close()
	delete(l.containers, c.status.ID)
	return l.save()
}
