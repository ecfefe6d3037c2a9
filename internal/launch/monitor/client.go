package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// ErrClosed is what calls give once the monitor cannot be reached.
var ErrClosed = errors.New("connection to monitor lost")

// ErrFormat is a monitor that cannot read a request: it is of a version of Mayfly with other launch programs, from
// before an upgrade, and runs on for as long as its Pod does.
var ErrFormat = errors.New("the pod's monitor is of another version of mayfly and does not read this one's format: delete the pod and make it again")

// Client is a connection to a monitor.
type Client struct {
	socket *net.UnixConn
	pid    int
	done   chan struct{}

	mu        sync.Mutex
	seq       uint32
	execSeq   uint64
	pending   map[uint32]chan reply
	processes map[uint64]*Process
	events    map[*subscription]struct{}
	closed    bool
}

// reply is an answer with its descriptors, which its receiver owns.
type reply struct {
	body  wire.ReplyBody
	files []*os.File
}

// Dial connects to the monitor of a directory.
func Dial(ctx context.Context, dir string) (*Client, error) {
	address, done, err := shorten(filepath.Join(dir, socketFile))
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", address)
	if err != nil {
		return nil, fmt.Errorf("dial monitor: %w", err)
	}
	c := &Client{
		socket: conn.(*net.UnixConn), done: make(chan struct{}), pending: map[uint32]chan reply{},
		processes: map[uint64]*Process{}, events: map[*subscription]struct{}{},
	}
	go c.read()
	r, err := c.control(ctx, wire.List, wire.ControlBody{}, nil)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("greet monitor: %w", err)
	}
	c.pid = int(r.PID)
	return c, nil
}

// Close ends the connection; the monitor lives on.
func (c *Client) Close() error { return c.socket.Close() }

// Done is closed when the connection to the monitor is lost.
func (c *Client) Done() <-chan struct{} { return c.done }

// PID of the monitor.
func (c *Client) PID() int { return c.pid }

// maxIncoming is the largest packet that a monitor sends: a list of very many containers.
const maxIncoming = 256 << 10

// read hands out what comes from the monitor, until the connection ends.
func (c *Client) read() {
	defer c.lost()
	buf := make([]byte, maxIncoming)
	oob := make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, _, _, err := c.socket.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		if err := c.dispatch(buf[:n], received(oob[:oobn])); err != nil {
			c.socket.Close()
			return
		}
	}
}

func received(oob []byte) []*os.File {
	var files []*os.File
	messages, _ := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "monitor"))
		}
	}
	return files
}

func (c *Client) dispatch(b []byte, files []*os.File) error {
	r := wire.NewReader(b)
	h := wire.DecodeHeader(r)
	switch h.Kind {
	case wire.Reply:
		var body wire.ReplyBody
		if err := body.Decode(r); err != nil {
			closeFiles(files)
			return err
		}
		c.answer(h.Seq, reply{body, files})
	case wire.Event:
		var s wire.Status
		s.Decode(r)
		if err := r.Close(); err != nil {
			return err
		}
		c.publish(Event{Status: fromWire(s)})
	case wire.ExecExit:
		var body wire.ControlBody
		if err := body.Decode(r); err != nil {
			return err
		}
		c.processEnded(body.Exec, int(body.A), nil)
	}
	return nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

func (c *Client) answer(seq uint32, r reply) {
	c.mu.Lock()
	ch, ok := c.pending[seq]
	delete(c.pending, seq)
	c.mu.Unlock()
	if !ok { // whoever asked has given up
		closeFiles(r.files)
		return
	}
	ch <- r
}

// lost ends everything that waits for the monitor.
func (c *Client) lost() {
	c.mu.Lock()
	c.closed = true
	processes, events := c.processes, c.events
	c.processes, c.events = map[uint64]*Process{}, map[*subscription]struct{}{}
	c.mu.Unlock()
	close(c.done)
	for _, p := range processes {
		p.end(0, ErrClosed)
	}
	for s := range events {
		s.end()
	}
}

// call sends a request and waits for its answer. The answer's files are the caller's.
func (c *Client) call(ctx context.Context, kind wire.Kind, encode func(*wire.Writer), files []*os.File) (reply, error) {
	ch := make(chan reply, 1)
	c.mu.Lock()
	c.seq++
	seq := c.seq
	c.pending[seq] = ch
	c.mu.Unlock()
	defer c.forget(seq, ch)
	if err := c.send(wire.Header{Seq: seq, Kind: kind}, encode, files); err != nil {
		return reply{}, err
	}
	select {
	case r := <-ch:
		return r, replyError(r.body)
	case <-c.done:
		select {
		case r := <-ch: // the last that the monitor said
			return r, replyError(r.body)
		default:
			return reply{}, ErrClosed
		}
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// forget closes what came too late.
func (c *Client) forget(seq uint32, ch chan reply) {
	c.mu.Lock()
	delete(c.pending, seq)
	c.mu.Unlock()
	select {
	case r := <-ch:
		closeFiles(r.files)
	default:
	}
}

func (c *Client) send(h wire.Header, encode func(*wire.Writer), files []*os.File) error {
	w := wire.Writer{}
	h.Encode(&w)
	encode(&w)
	if len(w.B) > wire.MaxMessage {
		body, err := memoryFile(w.B[wire.HeaderSize:])
		if err != nil {
			return err
		}
		defer body.Close()
		w.B = w.B[:0]
		h.InFile = true
		h.Encode(&w)
		files = append([]*os.File{body}, files...)
	}
	if len(files) > wire.MaxFiles {
		return fmt.Errorf("%d descriptors in one request: %w", len(files), syscall.E2BIG)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := c.socket.WriteMsgUnix(w.B, oob, nil); err != nil {
		return fmt.Errorf("send to monitor: %w", errors.Join(ErrClosed, err))
	}
	return nil
}

func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("request", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "request")
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("fill memory file: %w", err)
	}
	return f, nil
}

func replyError(b wire.ReplyBody) error {
	switch {
	case b.Errno == 0:
		return nil
	case b.Launch:
		return &launch.Failure{Call: int(b.Call), Errno: b.Errno}
	case b.Errno == unix.ESRCH:
		return os.ErrProcessDone
	case b.Errno == unix.EBADMSG:
		return ErrFormat
	}
	return b.Errno
}

func (c *Client) control(ctx context.Context, kind wire.Kind, b wire.ControlBody, files []*os.File) (wire.ReplyBody, error) {
	r, err := c.call(ctx, kind, b.Encode, files)
	closeFiles(r.files)
	if err != nil && b.ID != "" {
		err = fmt.Errorf("container %s: %w", b.ID, err)
	}
	return r.body, err
}
