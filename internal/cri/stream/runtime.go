package stream

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/utils/exec"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Target is what streams lead to.
type Target interface {
	Exec(ctx context.Context, id string, command []string, streams container.Streams) (*monitor.Process, error)
	Attach(ctx context.Context, id string, streams container.Streams) (Attachment, error)
	// Netns returns the path of a sandbox's network namespace, empty for the host's.
	Netns(id string) (string, error)
}

// Attachment is a container's streams.
type Attachment struct {
	*monitor.Attachment
	// Resize sets the size of the container's terminal.
	Resize Resize
	// Detachable says that the client's end of input is not the container's: it is how a client leaves.
	Detachable bool
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
		return whyEnded(ctx, err)
	}
	if code != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// Attach copies a container's streams until it has ended or the client leaves. A client also leaves by ending its
// input, as kubectl does on ctrl-p ctrl-q, unless that is to end the container's (stdin-once without a terminal). The
// answer to what it typed last still reaches it, so that a command may be piped to a shell: see [linger].
func (r Runtime) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	attached, err := r.Target.Attach(ctx, id, container.Streams{TTY: tty, Stdin: in != nil, Stdout: out != nil, Stderr: errOut != nil && !tty})
	if err != nil {
		return err
	}
	if tty {
		go follow(ctx, resize, attached.Resize)
	}
	pipes := pipes{stdin: attached.Stdin, stdout: attached.Stdout, stderr: attached.Stderr}
	if attached.Detachable {
		pipes.linger = &linger{}
	}
	return whyEnded(ctx, pipes.copy(ctx, in, out, errOut, nil))
}

// whyEnded is err, unless the streams ended because the server stops.
func whyEnded(ctx context.Context, err error) error {
	if stopping(ctx) {
		return errStopping
	}
	return err
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
