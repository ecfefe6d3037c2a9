package monitor_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// foreign is a monitor of another version: it greets, and can make nothing of launch programs.
func foreign(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	listener, err := net.Listen("unixpacket", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, wire.MaxMessage)
		for {
			n, err := conn.Read(request)
			if err != nil || n == 0 {
				return
			}
			h := wire.DecodeHeader(wire.NewReader(request[:n]))
			body := wire.ReplyBody{PID: 1}
			if h.Kind != wire.List {
				body.Errno = unix.EBADMSG
			}
			var reply wire.Writer
			wire.Header{Seq: h.Seq, Kind: wire.Reply}.Encode(&reply)
			body.Encode(&reply)
			if _, err := conn.Write(reply.B); err != nil {
				return
			}
		}
	}()
	return dir
}

// TestMonitorOfAnotherVersion must be told apart from all that a start can fail of: it has a remedy.
func TestMonitorOfAnotherVersion(t *testing.T) {
	ctx := deadline(t)
	c, err := monitor.Dial(ctx, foreign(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	program := &launch.Program{Spawn: launch.Spawn{Cgroup: -1, PIDs: -1}}
	if _, err := c.Start(ctx, monitor.StartRequest{ID: "a", Program: program}); !errors.Is(err, monitor.ErrFormat) {
		t.Errorf("start: %v", err)
	}
	if _, err := c.Exec(ctx, monitor.ExecRequest{ID: "a", Program: program}); !errors.Is(err, monitor.ErrFormat) {
		t.Errorf("exec: %v", err)
	}
}
