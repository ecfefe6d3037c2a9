package main

import (
	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// process is one that a client runs inside a container; its streams, and the master of
// its terminal, are the client's alone, so that it is hung up when the client dies.
type process struct {
	conn  *conn
	id    uint64
	pidfd int
}

func (l *loop) exec(r request) {
	var b wire.ExecBody
	err := b.Decode(r.body)
	code, invalid := launch.Decode(l.keep(b.Program))
	if err != nil || invalid != nil {
		r.fail(unix.EBADMSG)
		return
	}
	c, ok := l.containers[b.ID]
	if !ok {
		r.fail(unix.ENOENT)
		return
	}
	if c.status.Phase != running || c.pidfd < 0 {
		r.fail(unix.ESRCH)
		return
	}
	passed, s := r.files, noStreams()
	if b.TTY {
		if err := s.openControl(); err != nil {
			r.fail(errno(err))
			return
		}
	} else if len(passed) >= 3 {
		copy(s.own[:3], passed[:3])
		passed = passed[3:]
	}
	target, err := unix.FcntlInt(uintptr(c.pidfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil || len(passed) != code.Files() {
		s.closeAll()
		closeAll([]int{target})
		r.fail(unix.EBADMSG)
		return
	}
	s.own[launch.FileTarget], s.own[launch.FileSelf] = target, l.self
	closing := append(append(s.close, target), r.files...)
	l.launch(code, s.own, passed, closing, func(res result) { l.execed(r, b, s, res) })
}

func (l *loop) execed(r request, b wire.ExecBody, s streams, res result) {
	e := &process{conn: r.conn, id: b.Exec, pidfd: res.pidfd}
	err, master := res.err, -1
	if err == nil && b.TTY {
		master, err = receiveTerminal(s.control)
	}
	closeAll([]int{s.control})
	if err != nil {
		closeAll([]int{res.pidfd, master})
		if res.err == nil {
			_ = unix.Kill(res.pid, unix.SIGKILL)
		}
		r.reply(launchError(err))
		return
	}
	l.execs[execKey{r.conn, b.Exec}] = e
	r.replyFile(wire.ReplyBody{PID: uint32(res.pid)}, master)
	l.adopt(res.pid, e)
}

// execKey names an exec'd process: clients number their own.
type execKey struct {
	conn *conn
	id   uint64
}

func (e *process) exited(status unix.WaitStatus) {
	l := e.conn.l
	delete(l.execs, execKey{e.conn, e.id})
	closeAll([]int{e.pidfd})
	if e.conn.closed {
		return
	}
	code, _ := exitCode(status)
	w := &wire.Writer{}
	wire.Header{Kind: wire.ExecExit}.Encode(w)
	(&wire.ControlBody{Exec: e.id, A: code}).Encode(w)
	e.conn.send(packet{w.B, -1})
}

func (l *loop) signalExec(r request, b wire.ControlBody) {
	closeAll(r.files)
	e, ok := l.execs[execKey{r.conn, b.Exec}]
	if !ok {
		r.reply(wire.ReplyBody{Errno: unix.ESRCH})
		return
	}
	if err := unix.PidfdSendSignal(e.pidfd, unix.Signal(b.A), nil, 0); err != nil {
		r.reply(wire.ReplyBody{Errno: errno(err)})
		return
	}
	r.reply(wire.ReplyBody{})
}
