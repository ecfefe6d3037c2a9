// Package monitor talks to the monitor of a Pod: one tiny process per Pod that starts
// containers from launch programs, keeps their logs, streams and exit states, and
// survives the server that talks to it.
//
// Spawn makes a monitor, Dial finds one again after a restart of the server, and
// ReadState tells what a dead one knew. All methods of Client are safe for concurrent use.
//
// Life of a container: Start → running → exited (kept until Remove). The end of
// the container's first process ends the container: the monitor kills what is
// left in its cgroup, writes the rest of the output to the log and only then
// publishes the exit.
package monitor

import (
	"errors"
	"os"
	"time"

	"github.com/mayfly-run/mayfly/internal/launch"
	"golang.org/x/sys/unix"
)

// Config says how to spawn a monitor.
type Config struct {
	// Executable is shared by all monitors; see NewExecutable.
	Executable *Executable
	// Dir is the monitor's own directory, which must exist. It holds the socket at which the monitor listens, and the file
	// in which it keeps the states of containers. It may be renamed at any time; once it is removed and nobody is
	// connected, the monitor ends, and all that it runs.
	Dir string
	// CgroupDirs are directories of cgroups (one per v1 hierarchy or one of v2) into which
	// the monitor moves itself, so that stopping the server's service does not stop it.
	CgroupDirs []string
	// Stderr takes what a crashing monitor says; nil for nowhere.
	Stderr *os.File
}

// Phase of a container.
type Phase uint8

const (
	Running Phase = iota + 1
	Exited
	// Lost is an exit whose reason nobody saw, because the monitor itself died.
	Lost
)

// Status of a container.
type Status struct {
	ID        string
	Phase     Phase
	PID       int // on the host; 0 once exited
	StartedAt time.Time
	// FinishedAt, ExitCode and OOMKilled hold once Phase is Exited. ExitCode is 128 plus
	// the signal's number for a process that a signal killed.
	FinishedAt time.Time
	ExitCode   int
	Signal     int
	OOMKilled  bool
}

// StartRequest asks for a container.
type StartRequest struct {
	// ID is unique within the monitor.
	ID string
	// Program and Files come from compile.Container; Files stay the caller's to close.
	Program *launch.Program
	Files   []*os.File
	// LogPath takes the output as CRI log lines; empty for no log. It is opened without
	// following a symbolic link in its last element.
	LogPath string
	// TTY says that the program allocates a terminal (compile.Options does from the spec).
	TTY bool
	// Stdin keeps standard input open for attached clients; otherwise it is /dev/null.
	// StdinOnce closes it when the first attached client's input ends.
	Stdin, StdinOnce bool
	// KillDir is the cgroup (v2, or of any one v1 hierarchy) whose leftovers are killed
	// when the first process ends.
	KillDir string
	// OOMFile is memory.oom_control (v1) or memory.events (v2) of the container's cgroup.
	OOMFile string
}

// ExecRequest asks for a process in a running container, or beside one.
type ExecRequest struct {
	// ID of the container; it must be running.
	ID string
	// Program and Files come from compile.Exec; Files stay the caller's to close.
	Program *launch.Program
	Files   []*os.File
	TTY     bool
	// Stdin, Stdout and Stderr say which pipes are wanted when TTY is false; the rest is /dev/null.
	Stdin, Stdout, Stderr bool
}

// Process is an exec'd process. Streams that were not asked for are nil.
type Process struct {
	PID                   int
	Stdin, Stdout, Stderr *os.File // pipes; the caller closes them
	TTY                   *os.File // the master of the terminal; the caller closes it

	client *Client
	id     uint64
	done   chan struct{}
	code   int
	err    error
}

// AttachRequest asks for the streams of a running container.
type AttachRequest struct {
	ID                    string
	Stdin, Stdout, Stderr bool
}

// Attachment holds the streams of one attached client. Output ends (EOF) when the
// container does. Closing Stdin ends the container's input when it was started with
// StdinOnce. With a terminal, everything comes on Stdout.
type Attachment struct {
	Stdin, Stdout, Stderr *os.File // the caller closes them
}

// Event tells that a container's state changed.
type Event struct {
	Status Status
}

// StartError is a launch that failed: the process never ran.
type StartError struct {
	// Call is the name of the system call, as in "execve".
	Call string
	// Note says what the call was for, as in "exec /bin/sh".
	Note string
	// Err is a syscall.Errno.
	Err error
}

// Error says what could not be done.
func (e *StartError) Error() string { return e.Note + ": " + e.Call + ": " + e.Err.Error() }

// Unwrap gives the errno.
func (e *StartError) Unwrap() error { return e.Err }

// startError tells which call of a program failed.
func startError(p *launch.Program, err error) error {
	var f *launch.Failure
	switch {
	case !errors.As(err, &f):
		return err
	case f.Call < 0 || f.Call >= len(p.Calls):
		return &StartError{Call: "clone3", Note: "make process", Err: f.Errno}
	}
	c := p.Calls[f.Call]
	if c.Nr == launch.OpFail { // what the tries before it, all of them to execute, have left
		return &StartError{Call: launch.CallName(unix.SYS_EXECVE), Note: c.Note, Err: f.Errno}
	}
	return &StartError{Call: launch.CallName(c.Nr), Note: c.Note, Err: f.Errno}
}
