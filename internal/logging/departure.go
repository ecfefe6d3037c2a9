package logging

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// departure tells whether an error says no more than that the other side is gone, or that the server stops while
// somebody listens: nothing of that asks anything of the person who runs the server.
func departure(err error, message string) bool {
	switch message {
	case "Timeout or abort while handling", "Post-timeout activity", "Error on socket receive":
		return err == nil || gone(err)
	}
	if err == nil { // the standard library's server knows no attributes
		return strings.HasPrefix(message, "http: TLS handshake error") && hangUp(message)
	}
	return gone(err)
}

func gone(err error) bool {
	for _, known := range []error{
		context.Canceled, net.ErrClosed, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, http.ErrHandlerTimeout,
		http.ErrAbortHandler, syscall.EPIPE, syscall.ECONNRESET,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return hangUp(err.Error())
}

// hangUp knows the words of HTTP/2 and of libraries that keep their errors to themselves.
func hangUp(text string) bool {
	for _, known := range []string{
		"http2: stream closed", "client disconnected", "use of closed network connection", "context canceled",
		"broken pipe", "connection reset by peer",
	} {
		if strings.Contains(text, known) {
			return true
		}
	}
	return strings.HasSuffix(text, "EOF")
}

// toldClient tells whether an error was sent to the client whose own stream it ended: a program that the image lacks, a
// port that nobody listens on.
func toldClient(err error) bool {
	if err == nil {
		return false
	}
	for _, begin := range []string{"error executing command in container: ", "error attaching to container: ", "error forwarding port "} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

// recorded is the error that a record carries.
func recorded(r slog.Record) error {
	var found error
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		if ok {
			found = err
		}
		return !ok
	})
	return found
}
