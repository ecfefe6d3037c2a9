package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/utils/exec"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Target is what streams lead to.
type Target interface {
	Exec(ctx context.Context, id string, command []string, streams container.Streams) (*monitor.Process, error)
	// Attach also returns what resizes the container's terminal.
	Attach(ctx context.Context, id string, streams container.Streams) (*monitor.Attachment, Resize, error)
	// Netns returns the path of a sandbox's network namespace, empty for the host's.
	Netns(id string) (string, error)
}

// Resize sets a terminal's size in characters.
type Resize func(width, height uint16) error

// Runtime implements cri-streaming's Runtime.
type Runtime struct{ Target Target }

// Exec runs a command and copies its streams until it has ended. A client that leaves ends the copying; the command is
// told by its streams, as by a terminal that hung up.
func (r Runtime) Exec(ctx context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	process, err := r.Target.Exec(ctx, id, command, container.Streams{TTY: tty, Stdin: in != nil, Stdout: out != nil, Stderr: errOut != nil && !tty})
	if err != nil {
		return err
	}
	pipes := pipes{stdin: process.Stdin, stdout: process.Stdout, stderr: process.Stderr}
	if tty {
		pipes.stdin, pipes.stdout, pipes.shared = process.TTY, process.TTY, true
		go follow(ctx, resize, process.Resize)
	}
	ended := make(chan struct{})
	result := make(chan error, 1)
	var code int
	go func() {
		var err error
		code, err = process.Wait(ctx)
		close(ended)
		result <- err
	}()
	copied := pipes.copy(ctx, in, out, errOut, ended)
	if err := errors.Join(<-result, copied); err != nil {
		return err
	}
	if code != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// Attach copies a container's streams until it has ended or the client leaves.
func (r Runtime) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	attached, set, err := r.Target.Attach(ctx, id, container.Streams{TTY: tty, Stdin: in != nil, Stdout: out != nil, Stderr: errOut != nil && !tty})
	if err != nil {
		return err
	}
	if tty {
		go follow(ctx, resize, set)
	}
	pipes := pipes{stdin: attached.Stdin, stdout: attached.Stdout, stderr: attached.Stderr}
	return pipes.copy(ctx, in, out, errOut, nil)
}

// follow passes sizes on until the client sends no more.
func follow(ctx context.Context, sizes <-chan remotecommand.TerminalSize, set Resize) {
	for {
		select {
		case size, open := <-sizes:
			if !open {
				return
			}
			if size.Width > 0 && size.Height > 0 {
				_ = set(size.Width, size.Height) // the terminal may have ended already
			}
		case <-ctx.Done():
			return
		}
	}
}

// pipes are the near ends of a process's streams. With shared, stdin and stdout are one terminal.
type pipes struct {
	stdin, stdout, stderr *os.File
	shared                bool
}

// copy moves everything until the outputs end, and closes the pipes. It returns early when ctx ends. The copying of
// the client's input may outlive it for as long as the client's connection does, which the caller closes next.
func (p pipes) copy(ctx context.Context, in io.Reader, out, errOut io.Writer, ended <-chan struct{}) error {
	closeAll := sync.OnceFunc(func() {
		for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
			if f != nil {
				f.Close()
			}
		}
	})
	defer closeAll()
	stop := context.AfterFunc(ctx, closeAll) // wakes whatever reads or writes them
	defer stop()
	if in != nil && p.stdin != nil {
		go p.feed(in)
	}
	var outputs sync.WaitGroup
	for _, o := range []struct {
		from *os.File
		to   io.Writer
	}{{p.stdout, out}, {p.stderr, errOut}} {
		if o.from != nil && o.to != nil {
			outputs.Go(func() {
				if err := Pump(o.to, o.from, ended); err != nil {
					closeAll() // nobody listens any more
				}
			})
		}
	}
	outputs.Wait()
	if p.stdout == nil && p.stderr == nil && ended == nil { // only input: the client's to end
		<-ctx.Done()
	}
	return nil
}

// feed copies the client's input, and passes its end on unless that would hang up a terminal.
func (p pipes) feed(in io.Reader) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	_, _ = io.CopyBuffer(onlyWriter{p.stdin}, in, *buffer)
	if !p.shared {
		p.stdin.Close()
	}
}

// onlyWriter hides os.File's ReadFrom, which would ignore the buffer.
type onlyWriter struct{ io.Writer }
