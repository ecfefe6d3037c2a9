package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// leftoverStep and leftoverLimit bound the wait for processes killed in the cgroup.
	leftoverStep  = 5 * time.Millisecond
	leftoverLimit = 2 * time.Second
)

// exited takes the end of the container's first process, with which the container ends.
func (c *container) exited(status unix.WaitStatus) {
	c.status.FinishedAt = time.Now().UnixNano()
	c.status.ExitCode, c.status.Signal = exitCode(status)
	c.deadline = time.Now().Add(leftoverLimit)
	c.finish()
}

func exitCode(s unix.WaitStatus) (code, signal uint32) {
	if s.Signaled() {
		return 128 + uint32(s.Signal()), uint32(s.Signal())
	}
	return uint32(s.ExitStatus()), 0
}

// finish kills what is left, writes the last output, and only then publishes the exit.
func (c *container) finish() {
	if c.killDir != "" && time.Now().Before(c.deadline) {
		if n, err := signalCgroup(c.killDir, unix.SIGKILL); err == nil && n > 0 {
			c.l.after(leftoverStep, c.finish)
			return
		}
	}
	for _, o := range c.outputs {
		o.drain()
	}
	c.outputs = nil
	c.closeStdin()
	closeAll([]int{c.slave, c.pidfd})
	c.slave, c.pidfd, c.terminal = -1, -1, -1
	c.status.OOMKilled = oomKilled(c.oomFile)
	c.status.Phase, c.status.PID = exited, 0
	c.log.close()
	_ = c.l.save()
	c.l.broadcast(c.status)
}

// oomKilled looks at the count in memory.oom_control or memory.events.
func oomKilled(path string) bool {
	if path == "" {
		return false
	}
	content, err := readFile(path)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(content) {
		if count, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok {
			return string(count) != "0"
		}
	}
	return false
}

// signalCgroup signals all processes of a cgroup and tells how many there were. SIGKILL
// goes by cgroup.kill where there is one, so that nothing escapes by forking.
func signalCgroup(dir string, s unix.Signal) (int, error) {
	content, err := readFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return 0, err
	}
	pids := bytes.Fields(content)
	if len(pids) == 0 {
		return 0, nil
	}
	if s == unix.SIGKILL && writeFile(filepath.Join(dir, "cgroup.kill"), "1") == nil {
		return len(pids), nil
	}
	for _, p := range pids {
		if pid, err := strconv.Atoi(string(p)); err == nil && pid > 0 {
			_ = unix.Kill(pid, s)
		}
	}
	return len(pids), nil
}

// readFile and writeFile do without package os, whose files bring an epoll of their own.
func readFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4096)
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return b, err
		}
		b = slices.Grow(b[:len(b)+n], 1024)
	}
}

func writeFile(path, content string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(content))
	return err
}
