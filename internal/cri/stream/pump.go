package stream

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// bufferSize is also asked for as the size of pipes: fewer, larger reads carry more.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// Pump copies from a pipe or terminal until its end. When ended is closed first, because the process behind it has
// ended while another still holds its output open, what is in the pipe by then is copied and no more is waited for.
// It returns the error of the writer, if there was one; after that the rest is read and dropped, so that the process
// is not held up.
func Pump(dst io.Writer, src *os.File, ended <-chan struct{}) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	widen(src)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-ended:
			src.SetReadDeadline(time.Unix(1, 0)) // wakes the read; files that know no deadlines end with their last writer
		case <-stop:
		}
	}()
	var writeErr error
	write := func(b []byte) {
		if writeErr == nil && len(b) > 0 {
			_, writeErr = dst.Write(b)
		}
	}
	for {
		n, err := src.Read(*buffer)
		write((*buffer)[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(writeErr, drain(write, src, *buffer))
		}
		if err != nil { // EOF; EIO is how a terminal says that its last writer left
			return writeErr
		}
	}
}

// drain copies what can be read without waiting.
func drain(write func([]byte), src *os.File, buffer []byte) error {
	raw, err := src.SyscallConn()
	if err != nil {
		return err
	}
	for limit := 4 << 20; limit > 0; {
		n := 0
		if err := raw.Control(func(fd uintptr) { n = readNow(int(fd), buffer) }); err != nil || n <= 0 {
			return nil
		}
		write(buffer[:n])
		limit -= n // no pipe holds more; whoever still writes is not the process that ended
	}
	return nil
}

func readNow(fd int, buffer []byte) int {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 || poll[0].Revents&unix.POLLIN == 0 {
		return 0
	}
	n, err := unix.Read(fd, buffer)
	if err != nil {
		return 0
	}
	return n
}

// widen may fail, over the user's limit for pipes or on a terminal; the usual size works as well.
func widen(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, bufferSize) })
}

// Capped keeps the first bytes that are written to it and drops the rest without complaint.
type Capped struct {
	// Limit is in bytes.
	Limit int
	// Bytes is what was kept.
	Bytes []byte
}

// Write implements io.Writer.
func (c *Capped) Write(b []byte) (int, error) {
	if room := c.Limit - len(c.Bytes); room > 0 {
		c.Bytes = append(c.Bytes, b[:min(room, len(b))]...)
	}
	return len(b), nil
}
