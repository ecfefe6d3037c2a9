package monitor

import (
	"context"
	"errors"
	"os"
)

var errPending = errors.New("not there yet")

type Executable struct{ file *os.File }

// NewExecutable puts the monitor's executable into a sealed memory file, of which all monitors run.
func NewExecutable(content []byte) (*Executable, error) { return nil, errPending }

// Close frees the executable; running monitors keep it.
func (e *Executable) Close() error { return nil }

// Client is a connection to a monitor.
type Client struct{}

// Spawn starts a monitor and connects to it.
func Spawn(ctx context.Context, cfg Config) (*Client, error) { return nil, errPending }

// Dial connects to a monitor that runs already.
func Dial(ctx context.Context, socketPath string) (*Client, error) { return nil, errPending }

// ReadState tells what a monitor kept in its state file; containers that ran are Lost.
// It is for monitors that are dead: ask a live one with List.
func ReadState(path string) ([]Status, error) { return nil, errPending }

// Start starts a container. A launch that failed is a *StartError.
func (c *Client) Start(ctx context.Context, r StartRequest) (Status, error) { return Status{}, errPending }

// Exec starts a process in a container. A launch that failed is a *StartError.
func (c *Client) Exec(ctx context.Context, r ExecRequest) (*Process, error) { return nil, errPending }

// Attach gives streams of a running container.
func (c *Client) Attach(ctx context.Context, r AttachRequest) (*Attachment, error) { return nil, errPending }

// Resize sets the size of a container's terminal.
func (c *Client) Resize(ctx context.Context, id string, width, height uint16) error { return errPending }

// CloseStdin ends a container's input.
func (c *Client) CloseStdin(ctx context.Context, id string) error { return errPending }

// ReopenLog opens a container's log file anew, after a rotation.
func (c *Client) ReopenLog(ctx context.Context, id string) error { return errPending }

// Signal sends a signal to a container's first process, or to all in its KillDir cgroup.
// A container that has exited gives os.ErrProcessDone, one that is unknown os.ErrNotExist.
func (c *Client) Signal(ctx context.Context, id string, signal int, all bool) error { return errPending }

// State gives one container's status.
func (c *Client) State(ctx context.Context, id string) (Status, error) { return Status{}, errPending }

// List gives the status of every container that was started and not removed.
func (c *Client) List(ctx context.Context) ([]Status, error) { return nil, errPending }

// Events gives state changes from now on; the channel closes when ctx ends or the
// connection breaks (see Err). A reader must keep up: events queue without limit.
func (c *Client) Events(ctx context.Context) <-chan Event { return nil }

// Done is closed when the connection to the monitor is lost.
func (c *Client) Done() <-chan struct{} { return nil }

// Remove forgets an exited container.
func (c *Client) Remove(ctx context.Context, id string) error { return errPending }

// Shutdown ends the monitor; it refuses while a container runs.
func (c *Client) Shutdown(ctx context.Context) error { return errPending }

// PID of the monitor.
func (c *Client) PID() int { return 0 }

// Close ends the connection; the monitor lives on.
func (c *Client) Close() error { return nil }

// Wait waits for the process to end and gives its exit code (128 plus signal).
func (p *Process) Wait(ctx context.Context) (int, error) { return 0, errPending }

// Signal sends a signal to the process.
func (p *Process) Signal(ctx context.Context, signal int) error { return errPending }

// Resize sets the size of the process's terminal.
func (p *Process) Resize(width, height uint16) error { return errPending }
