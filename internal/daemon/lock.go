package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRunning says that another process holds the data directory.
var ErrRunning = errors.New("another mayfly is up")

// lock is the right to use a data directory; the kernel takes it back when the process dies, however it dies.
type lock struct{ file *os.File }

func lockFile(dataDir string) string { return filepath.Join(dataDir, "lock") }

// acquire takes the data directory for this process, or tells which process has it.
func acquire(dataDir string) (*lock, error) {
	f, err := os.OpenFile(lockFile(dataDir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by process %d: %w", dataDir, holder(f), ErrRunning)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if err := errors.Join(f.Truncate(0), write(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return &lock{f}, nil
}

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s+"\n"), 0)
	return err
}

func holder(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	return pid
}

func (l *lock) release() { l.file.Close() }

// stopHolder asks the process that holds the data directory to stop, and returns with the lock once it has.
func stopHolder(ctx context.Context, dataDir string) (*lock, error) {
	l, err := acquire(dataDir)
	if !errors.Is(err, ErrRunning) {
		return l, err
	}
	f, err := os.OpenFile(lockFile(dataDir), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	defer f.Close()
	pid := holder(f)
	if pid <= 1 {
		return nil, fmt.Errorf("%s is locked but does not name the process that holds it", f.Name())
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("stop process %d: %w", pid, err)
	}
	locked := make(chan error, 1)
	go func() { locked <- unix.Flock(int(f.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			return nil, fmt.Errorf("wait for process %d: %w", pid, err)
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("process %d has not stopped: %w", pid, ctx.Err())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return nil, fmt.Errorf("unlock %s: %w", f.Name(), err)
	}
	return acquire(dataDir)
}
