package main

import (
	"time"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// container is one container, from its launch until it is removed.
type container struct {
	l         *loop
	status    wire.Status
	pidfd     int
	killDir   string
	oomFile   string
	log       logFile
	outputs   []*output
	stdin     *input // nil for none
	terminal  int    // the master, -1 for none
	slave     int    // kept open, so that reading the master never ends before the container
	stdinOnce bool
	deadline  time.Time // for what is left in the cgroup
}

// streams are the descriptors of a launch: ours, and the child's, which are closed after it.
type streams struct {
	own   [launch.FirstFile]int
	close []int
	// stdin, stdout, stderr and control are the monitor's ends.
	stdin, stdout, stderr, control int
}

func noStreams() streams {
	return streams{own: [launch.FirstFile]int{-1, -1, -1, -1, -1, -1}, stdin: -1, stdout: -1, stderr: -1, control: -1}
}

func (s *streams) closeAll() {
	closeAll(s.close)
	closeAll([]int{s.stdin, s.stdout, s.stderr, s.control})
}

// open makes pipes, or the socket over which a terminal comes.
func (s *streams) open(l *loop, tty, stdin bool) error {
	s.own[launch.FileSelf] = l.self
	if tty {
		return s.openControl()
	}
	s.own[launch.FileStdin] = l.null
	if stdin {
		p, err := s.pipe()
		if err != nil {
			return err
		}
		s.own[launch.FileStdin], s.stdin = p[0], p[1]
		s.close = append(s.close, p[0])
	}
	out, err := s.pipe()
	if err != nil {
		return err
	}
	s.own[launch.FileStdout], s.stdout = out[1], out[0]
	s.close = append(s.close, out[1])
	errs, err := s.pipe()
	if err != nil {
		return err
	}
	s.own[launch.FileStderr], s.stderr = errs[1], errs[0]
	s.close = append(s.close, errs[1])
	for _, fd := range []int{s.stdin, s.stdout, s.stderr} {
		if fd >= 0 {
			_ = unix.SetNonblock(fd, true)
		}
	}
	return nil
}

func (s *streams) pipe() (p [2]int, err error) {
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p, err
}

func (s *streams) openControl() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.own[launch.FileControl], s.control = pair[1], pair[0]
	s.close = append(s.close, pair[1])
	return nil
}

func (l *loop) start(r request) {
	var b wire.StartBody
	err := b.Decode(r.body)
	code, invalid := launch.Decode(l.keep(b.Program))
	if err != nil || invalid != nil || len(r.files) != code.Files() || b.ID == "" {
		r.fail(unix.EBADMSG)
		return
	}
	if _, ok := l.containers[b.ID]; ok {
		r.fail(unix.EEXIST)
		return
	}
	c := &container{
		l: l, status: wire.Status{ID: b.ID}, pidfd: -1, killDir: b.KillDir, oomFile: b.OOMFile,
		log: logFile{path: b.LogPath, buf: l.buffers.lines}, terminal: -1, slave: -1, stdinOnce: b.StdinOnce,
	}
	s := noStreams()
	if err = c.log.open(); err == nil {
		err = s.open(l, b.TTY, b.Stdin)
	}
	if err != nil {
		c.log.close()
		s.closeAll()
		r.fail(errno(err))
		return
	}
	l.containers[b.ID] = c
	l.launch(code, s.own, r.files, append(s.close, r.files...), func(res result) { c.launched(r, s, b, res) })
}

// launched goes on once the program has run.
func (c *container) launched(r request, s streams, b wire.StartBody, res result) {
	s.close = nil
	err := res.err
	if err == nil && b.TTY {
		c.terminal, err = receiveTerminal(s.control)
		closeAll([]int{s.control})
		s.control = -1
	}
	if err != nil {
		s.closeAll()
		closeAll([]int{res.pidfd})
		if res.err == nil {
			_ = unix.Kill(res.pid, unix.SIGKILL)
		}
		c.log.close()
		delete(c.l.containers, c.status.ID)
		r.reply(launchError(err))
		return
	}
	c.pidfd = res.pidfd
	c.status.Phase, c.status.PID, c.status.StartedAt = running, uint32(res.pid), time.Now().UnixNano()
	c.openStreams(s, b.Stdin)
	r.reply(wire.ReplyBody{List: []wire.Status{c.status}})
	_ = c.l.save()
	c.l.broadcast(c.status)
	c.l.adopt(res.pid, c)
}

func (c *container) openStreams(s streams, stdin bool) {
	if c.terminal >= 0 {
		// Asked of the master itself, which needs no path to the container's devpts.
		if slave, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(c.terminal), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC); e == 0 {
			c.slave = int(slave)
		}
		c.addOutput(c.terminal, "stdout")
		if stdin {
			if fd, err := unix.FcntlInt(uintptr(c.terminal), unix.F_DUPFD_CLOEXEC, 0); err == nil {
				c.stdin = &input{c: c, fd: fd}
			}
		}
		return
	}
	c.addOutput(s.stdout, "stdout")
	c.addOutput(s.stderr, "stderr")
	if s.stdin >= 0 {
		c.stdin = &input{c: c, fd: s.stdin}
	}
}

func (c *container) addOutput(fd int, stream string) {
	o := &output{c: c, fd: fd, lines: lines{stream: stream}}
	c.outputs = append(c.outputs, o)
	if c.l.watch(fd, unix.EPOLLIN, o) != nil {
		o.end()
	}
}

func (c *container) signal(s unix.Signal, all bool) error {
	if c.status.Phase != running {
		return unix.ESRCH
	}
	if all && c.killDir != "" {
		_, err := signalCgroup(c.killDir, s)
		return err
	}
	return unix.PidfdSendSignal(c.pidfd, s, nil, 0)
}

func (c *container) resize(width, height uint16) error {
	if c.terminal < 0 {
		return unix.ENOTTY
	}
	return unix.IoctlSetWinsize(c.terminal, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
}

func (c *container) closeStdin() {
	if c.stdin != nil {
		c.stdin.close()
		c.stdin = nil
	}
}
