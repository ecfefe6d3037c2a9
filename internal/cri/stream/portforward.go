package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// connectTimeout is in seconds. Inside one machine a connection is made at once or not at all, unless the listener's
// queue is full.
const connectTimeout = 10

// PortForward connects a stream with a port inside the sandbox, first on 127.0.0.1, then on ::1.
func (r Runtime) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	if port <= 0 || port > 65535 {
		return fmt.Errorf("port %d is out of range", port)
	}
	netns, err := r.Target.Netns(id)
	if err != nil {
		return err
	}
	conn, err := dialInside(netns, int(port))
	if err != nil {
		return fmt.Errorf("connect to port %d inside the pod: %w", port, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close(); stream.Close() })
	defer stop()
	return join(conn, stream)
}

// join copies both ways. The client's end of input is passed on as such; the server's end ends the whole, without
// waiting for the client to close: the copying of its input ends when it does, or when its connection goes.
func join(conn *net.TCPConn, stream io.ReadWriteCloser) error {
	go func() {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		_, _ = io.CopyBuffer(onlyWriter{conn}, stream, *buffer)
		_ = conn.CloseWrite()
	}()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	_, err := io.CopyBuffer(onlyWriter{stream}, onlyReader{conn}, *buffer)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type onlyReader struct{ io.Reader }

// dialInside makes a connection within a network namespace, on a thread that is thrown away with it.
func dialInside(netns string, port int) (*net.TCPConn, error) {
	fd := -1
	err := thread.Do(func() error {
		if err := enter(netns); err != nil {
			return err
		}
		var err error
		if fd, err = connect(&unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err == nil {
			return nil
		}
		var err6 error
		if fd, err6 = connect(&unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}); err6 == nil {
			return nil
		}
		return err // the first says what is wrong: most programs listen on IPv4
	})
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "forwarded")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func enter(netns string) error {
	if netns == "" {
		return nil
	}
	fd, err := unix.Open(netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: netns, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", netns, err)
	}
	return nil
}

func connect(address unix.Sockaddr) (int, error) {
	family := unix.AF_INET
	if _, ok := address.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: connectTimeout}); err == nil {
		err = unix.Connect(fd, address)
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}
