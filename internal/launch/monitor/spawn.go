package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Executable is the monitor's program in a sealed memory file: nothing can write to it,
// and all monitors share its pages.
type Executable struct{ file *os.File }

// NewExecutable puts the monitor's executable (package binary has it) into a sealed memory
// file, of which all monitors run.
func NewExecutable(content []byte) (*Executable, error) {
	if len(content) == 0 {
		return nil, errors.New("the Pod monitor was not built in: run `make monitor` before building mayfly")
	}
	fd, err := unix.MemfdCreate("podmonitor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("podmonitor", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "podmonitor")
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("fill memory file: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fmt.Errorf("seal memory file: %w", err)
	}
	return &Executable{file: f}, nil
}

// Close frees the executable; running monitors keep it.
func (e *Executable) Close() error { return e.file.Close() }

// Files in a monitor's directory. The monitor is told their names alone, and works there.
const (
	socketFile = "socket"
	stateFile  = "state"
)

// Spawn starts a monitor and connects to it. It refuses when one listens in the directory already.
func Spawn(ctx context.Context, cfg Config) (*Client, error) {
	if c, err := Dial(ctx, cfg.Dir); err == nil {
		c.Close()
		return nil, fmt.Errorf("spawn monitor in %s: %w", cfg.Dir, os.ErrExist)
	}
	socket := filepath.Join(cfg.Dir, socketFile)
	listener, err := listen(socket)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", socket, err)
	}
	cmd := &exec.Cmd{
		// In our own table of descriptors, not the child's: there the listener may have taken the number.
		Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), cfg.Executable.file.Fd()),
		Args: []string{"podmonitor", "-socket", socketFile, "-state", stateFile, "-cgroups", strings.Join(cfg.CgroupDirs, ":")},
		// While a launch stands still in the kernel, the monitor's loop takes its processor over; with a second one Go
		// keeps more threads and memory, and wakes them in vain. Huge pages, which many machines give to whoever does not
		// decline them, would make a heap of some hundred kilobytes one of four megabytes.
		Env:         []string{"GOMAXPROCS=1", "GODEBUG=disablethp=1", "PATH=/usr/bin:/bin"},
		Dir:         cfg.Dir,
		ExtraFiles:  []*os.File{listener},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if cfg.Stderr != nil {
		cmd.Stderr = cfg.Stderr
	}
	err = cmd.Start()
	listener.Close() // the monitor's alone: with it, whoever waits for an answer hears of its death
	if err != nil {
		_ = os.Remove(socket)
		return nil, fmt.Errorf("start monitor: %w", err)
	}
	client, err := Dial(ctx, cfg.Dir)
	go reap(cmd, client)
	return client, err
}

// reap waits for a monitor that ends before us. Waiting takes a thread, so it begins when the connection is lost.
func reap(cmd *exec.Cmd, client *Client) {
	if client != nil {
		<-client.Done()
	}
	_ = cmd.Wait()
}

// Adopt makes the directory of a monitor whose files are elsewhere, as those of Mayfly's first versions are. Where it is
// there already, nothing is done.
func Adopt(dir, socket, state string) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("make monitor's directory: %w", err)
	}
	return errors.Join(os.Symlink(socket, filepath.Join(dir, socketFile)), os.Symlink(state, filepath.Join(dir, stateFile)))
}

// listen binds a socket that nobody else may use, not even for a moment.
func listen(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	if err := unix.Unlink(path); err != nil && !errors.Is(err, unix.ENOENT) {
		f.Close()
		return nil, err
	}
	address, done, err := shorten(path)
	if err != nil {
		f.Close()
		return nil, err
	}
	defer done()
	err = errors.Join(unix.Fchmod(fd, 0o600), unix.Bind(fd, &unix.SockaddrUnix{Name: address}), unix.Listen(fd, 16))
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
