package systemd

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// conn is a connection of D-Bus to systemd itself, where no name is taken and none is addressed.
type conn struct {
	ctx    context.Context
	net    net.Conn
	in     *bufio.Reader
	undo   func() bool
	serial uint32
}

// dial connects; the connection breaks when ctx ends.
func dial(ctx context.Context, path string) (*conn, error) {
	var d net.Dialer
	socket, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &conn{ctx: ctx, net: socket, in: bufio.NewReader(socket)}
	c.undo = context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	if err := c.authenticate(); err != nil {
		c.close()
		return nil, c.explain(fmt.Errorf("introduce ourselves at %s: %w", path, err))
	}
	return c, nil
}

func (c *conn) close() {
	c.undo()
	_ = c.net.Close()
}

// explain prefers the reason why the connection was given up.
func (c *conn) explain(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// authenticate says who we are; the socket proves it. "Authentication Protocol" of the D-Bus specification.
func (c *conn) authenticate() error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	if _, err := io.WriteString(c.net, "\x00AUTH EXTERNAL "+uid+"\r\n"); err != nil {
		return err
	}
	answer, err := c.in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "OK ") {
		return fmt.Errorf("answer %q", strings.TrimSpace(answer))
	}
	_, err = io.WriteString(c.net, "BEGIN\r\n")
	return err
}

// callError is an error that a method answered with.
type callError struct{ name, text string }

func (e *callError) Error() string { return fmt.Sprintf("%s (%s)", e.text, e.name) }

// call calls a method of the manager and returns its answer; signals that come before are left out.
func (c *conn) call(method, signature string, body *encoder) (*message, error) {
	c.serial++
	if _, err := c.net.Write(encodeCall(c.serial, method, signature, body.data)); err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	for {
		m, err := c.receive()
		switch {
		case err != nil:
			return nil, fmt.Errorf("call %s: %w", method, err)
		case m.reply != c.serial:
			continue
		case m.kind == kindError:
			text, _ := m.body.text()
			return nil, &callError{name: m.failure, text: text}
		}
		return m, nil
	}
}

func (c *conn) receive() (*message, error) { return readMessage(c.in) }
