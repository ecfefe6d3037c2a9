package monitor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
)

// ReadState tells what the monitor of a directory kept in its state file; containers that ran are Lost.
// It is for monitors that are dead: ask a live one with List.
func ReadState(dir string) ([]Status, error) {
	path := filepath.Join(dir, stateFile)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	list, err := wire.DecodeState(content)
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	out := make([]Status, 0, len(list))
	for _, w := range list {
		s := fromWire(w)
		if s.Phase == Running {
			s.Phase = Lost
		}
		out = append(out, s)
	}
	return out, nil
}

func fromWire(w wire.Status) Status {
	at := func(ns int64) time.Time {
		if ns == 0 {
			return time.Time{}
		}
		return time.Unix(0, ns)
	}
	return Status{
		ID: w.ID, Phase: Phase(w.Phase), PID: int(w.PID), StartedAt: at(w.StartedAt), FinishedAt: at(w.FinishedAt),
		ExitCode: int(w.ExitCode), Signal: int(w.Signal), OOMKilled: w.OOMKilled,
	}
}

// Start starts a container and returns once its first process runs. A launch that failed
// is a *StartError and leaves nothing behind.
func (c *Client) Start(ctx context.Context, r StartRequest) (Status, error) {
	program, err := r.Program.MarshalBinary()
	if err != nil {
		return Status{}, fmt.Errorf("start %s: %w", r.ID, err)
	}
	body := wire.StartBody{
		ID: r.ID, LogPath: r.LogPath, KillDir: r.KillDir, OOMFile: r.OOMFile,
		TTY: r.TTY, Stdin: r.Stdin, StdinOnce: r.StdinOnce, Program: program,
	}
	got, err := c.call(ctx, wire.Start, body.Encode, r.Files)
	closeFiles(got.files)
	if err != nil {
		return Status{}, fmt.Errorf("start %s: %w", r.ID, startError(r.Program, err))
	}
	return first(got.body, r.ID)
}

func first(b wire.ReplyBody, id string) (Status, error) {
	if len(b.List) != 1 {
		return Status{}, fmt.Errorf("container %s: %w", id, wire.ErrMalformed)
	}
	return fromWire(b.List[0]), nil
}

// Attach gives streams of a running container. What a client does not read for a second
// while the container writes ends its attachment.
func (c *Client) Attach(ctx context.Context, r AttachRequest) (*Attachment, error) {
	a := &Attachment{}
	body := wire.ControlBody{ID: r.ID}
	var theirs []*os.File
	defer func() { closeFiles(theirs) }()
	for i, s := range []struct {
		want  bool
		ours  **os.File
		write bool // by us
	}{{r.Stdin, &a.Stdin, true}, {r.Stdout, &a.Stdout, false}, {r.Stderr, &a.Stderr, false}} {
		if !s.want {
			continue
		}
		read, write, err := os.Pipe()
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("attach to %s: %w", r.ID, err)
		}
		*s.ours, theirs = read, append(theirs, write)
		if s.write {
			*s.ours, theirs[len(theirs)-1] = write, read
		}
		body.A |= 1 << i
	}
	if _, err := c.control(ctx, wire.Attach, body, theirs); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close closes all streams.
func (a *Attachment) Close() { closeFiles([]*os.File{a.Stdin, a.Stdout, a.Stderr}) }

// Resize sets the size of a container's terminal.
func (c *Client) Resize(ctx context.Context, id string, width, height uint16) error {
	_, err := c.control(ctx, wire.Resize, wire.ControlBody{ID: id, A: uint32(width), B: uint32(height)}, nil)
	return err
}

// CloseStdin ends a container's input.
func (c *Client) CloseStdin(ctx context.Context, id string) error {
	_, err := c.control(ctx, wire.CloseStdin, wire.ControlBody{ID: id}, nil)
	return err
}

// ReopenLog opens a container's log file anew, after a rotation.
func (c *Client) ReopenLog(ctx context.Context, id string) error {
	_, err := c.control(ctx, wire.ReopenLog, wire.ControlBody{ID: id}, nil)
	return err
}

// Signal sends a signal to a container's first process, or to all in its KillDir cgroup.
// A container that has exited gives os.ErrProcessDone, one that is unknown os.ErrNotExist.
func (c *Client) Signal(ctx context.Context, id string, signal int, all bool) error {
	b := wire.ControlBody{ID: id, A: uint32(signal)}
	if all {
		b.B = 1
	}
	_, err := c.control(ctx, wire.Signal, b, nil)
	return err
}

// State gives one container's status, or os.ErrNotExist.
func (c *Client) State(ctx context.Context, id string) (Status, error) {
	b, err := c.control(ctx, wire.List, wire.ControlBody{ID: id}, nil)
	if err != nil {
		return Status{}, err
	}
	return first(b, id)
}

// List gives the status of every container that was started and not removed.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	b, err := c.control(ctx, wire.List, wire.ControlBody{}, nil)
	if err != nil {
		return nil, err
	}
	list := make([]Status, 0, len(b.List))
	for _, s := range b.List {
		list = append(list, fromWire(s))
	}
	return list, nil
}

// Remove forgets an exited container; a running one gives syscall.EBUSY.
func (c *Client) Remove(ctx context.Context, id string) error {
	_, err := c.control(ctx, wire.Remove, wire.ControlBody{ID: id}, nil)
	return err
}

// Shutdown ends the monitor; it refuses with syscall.EBUSY while a container runs.
func (c *Client) Shutdown(ctx context.Context) error {
	if _, err := c.control(ctx, wire.Shutdown, wire.ControlBody{}, nil); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
