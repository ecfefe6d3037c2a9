// Package noise lowers what Kubernetes' libraries log as errors when a client hangs up, or the server stops while
// somebody listens: nothing of that asks anything of the person who runs the server.
package noise

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

// once guards the library's own list of handlers, of which a process has one.
var once sync.Once

// Lower puts a filter before the handlers of errors that libraries cannot return.
func Lower() {
	once.Do(func() {
		for i, handle := range runtime.ErrorHandlers {
			runtime.ErrorHandlers[i] = filtered(handle, i == 0)
		}
	})
}

// filtered keeps departures from handle; the first handler of the list logs them at debug.
func filtered(handle runtime.ErrorHandler, first bool) runtime.ErrorHandler {
	return func(ctx context.Context, err error, message string, pairs ...any) {
		if !departure(err, message) {
			handle(ctx, err, message, pairs...)
			return
		}
		if first {
			slog.DebugContext(ctx, message, append(pairs, "err", err)...)
		}
	}
}

// With gives each request a logger that lowers departures.
func With(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger := logr.FromSlogHandler(handler{slog.Default().Handler()})
		next.ServeHTTP(w, r.WithContext(klog.NewContext(r.Context(), logger)))
	})
}

// departure tells whether an error says no more than that the other side is gone.
func departure(err error, message string) bool {
	switch message {
	case "Timeout or abort while handling", "Error on socket receive":
		return err == nil || gone(err)
	}
	return err != nil && gone(err)
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
	// HTTP/2 and some libraries keep theirs to themselves.
	for _, known := range []string{
		"http2: stream closed", "client disconnected", "use of closed network connection", "context canceled",
		"broken pipe", "connection reset by peer",
	} {
		if strings.Contains(err.Error(), known) {
			return true
		}
	}
	return false
}

// handler lowers records that tell of a departure, and information as the rest of the program does with libraries.
type handler struct{ slog.Handler }

// Enabled is part of slog.Handler.
func (h handler) Enabled(ctx context.Context, l slog.Level) bool {
	if l >= slog.LevelInfo && l < slog.LevelWarn {
		l = slog.LevelDebug
	}
	return h.Handler.Enabled(ctx, l)
}

// Handle is part of slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && (r.Level < slog.LevelWarn || departure(recorded(r), r.Message)) {
		if r.Level = slog.LevelDebug; !h.Handler.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
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

// WithAttrs is part of slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup is part of slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
