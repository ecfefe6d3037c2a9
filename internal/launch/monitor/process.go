package monitor

import (
	"context"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// Exec starts a process in a container. A launch that failed is a *StartError.
func (c *Client) Exec(ctx context.Context, r ExecRequest) (*Process, error) {
	program, err := r.Program.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", r.ID, err)
	}
	p := &Process{client: c, done: make(chan struct{})}
	theirs, err := p.openStreams(r)
	defer closeFiles(theirs)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("exec in %s: %w", r.ID, err)
	}
	c.register(p)
	body := wire.ExecBody{ID: r.ID, Exec: p.id, TTY: r.TTY, Program: program}
	got, err := c.call(ctx, wire.Exec, body.Encode, append(theirs[:len(theirs):len(theirs)], r.Files...))
	if err == nil && r.TTY && len(got.files) != 1 {
		err = wire.ErrMalformed
	}
	if err != nil {
		closeFiles(got.files)
		err = startError(r.Program, err)
		c.processEnded(p.id, 0, err)
		p.Close()
		return nil, fmt.Errorf("exec in %s: %w", r.ID, err)
	}
	p.PID = int(got.body.PID)
	if r.TTY {
		p.TTY, err = pollable(got.files[0])
	}
	return p, err
}

// pollable makes a terminal's master one whose reads end when it is closed.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "terminal"), nil
}

// openStreams makes pipes and gives the process's ends, all three, or none for a terminal.
func (p *Process) openStreams(r ExecRequest) (theirs []*os.File, err error) {
	if r.TTY {
		return nil, nil
	}
	for _, s := range []struct {
		want  bool
		ours  **os.File
		write bool
	}{{r.Stdin, &p.Stdin, true}, {r.Stdout, &p.Stdout, false}, {r.Stderr, &p.Stderr, false}} {
		if !s.want {
			null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return theirs, err
			}
			theirs = append(theirs, os.NewFile(uintptr(null), os.DevNull))
			continue
		}
		ours, other, err := pipe(s.write)
		*s.ours, theirs = ours, append(theirs, other)
		if err != nil {
			return theirs, err
		}
	}
	return theirs, nil
}

// pipe makes our end of a pipe, and the other, which unlike one of os.Pipe's is never waited for: it is only sent on.
func pipe(write bool) (ours, theirs *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	if write {
		ends[0], ends[1] = ends[1], ends[0]
	}
	err = unix.SetNonblock(ends[0], true)
	ours, theirs = os.NewFile(uintptr(ends[0]), "pipe"), os.NewFile(uintptr(ends[1]), "pipe")
	return ours, theirs, err
}

func (c *Client) register(p *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.execSeq++
	p.id = c.execSeq
	c.processes[p.id] = p
}

func (c *Client) processEnded(id uint64, code int, err error) {
	c.mu.Lock()
	p, ok := c.processes[id]
	delete(c.processes, id)
	c.mu.Unlock()
	if ok {
		p.end(code, err)
	}
}

func (p *Process) end(code int, err error) {
	p.code, p.err = code, err
	close(p.done)
}

// Wait waits for the process to end and gives its exit code (128 plus signal). Output may
// still be in the pipes then.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.code, p.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process.
func (p *Process) Signal(ctx context.Context, signal int) error {
	_, err := p.client.control(ctx, wire.ExecSignal, wire.ControlBody{Exec: p.id, A: uint32(signal)}, nil)
	return err
}

// Resize sets the size of the process's terminal.
func (p *Process) Resize(width, height uint16) error {
	if p.TTY == nil {
		return unix.ENOTTY
	}
	raw, err := p.TTY.SyscallConn()
	if err != nil {
		return err
	}
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		ioctl = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	})
	if err != nil {
		return err
	}
	return ioctl
}

// Close closes all streams; the process is told by what that does to it.
func (p *Process) Close() { closeFiles([]*os.File{p.Stdin, p.Stdout, p.Stderr, p.TTY}) }
