package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

const (
	// idleTimeout is after how long without a byte in either direction a stream is given up.
	idleTimeout = 4 * time.Hour
	// stopTimeout is how long clients may take to be told that the server stops.
	stopTimeout = time.Second
)

// errStopping is why streams end that neither their process nor their client has ended. To a client, whose command was
// cut off, it must not look like success.
var errStopping = errors.New("the runtime is stopping; what was started may go on without its streams")

// Server hands out URLs and serves them.
type Server struct {
	streaming.Server
	listener net.Listener
	streams  sync.RWMutex // held for reading by every request under way
	life     context.Context
	end      context.CancelCauseFunc
}

// New listens on a free port of the loopback interface.
func New(runtime streaming.Runtime) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for streams: %w", err)
	}
	config := streaming.DefaultConfig
	config.Addr = listener.Addr().String()
	config.BaseURL = &url.URL{Scheme: "http", Host: config.Addr}
	config.StreamIdleTimeout = idleTimeout
	inner, err := streaming.NewServer(config, runtime)
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("make streaming server: %w", err)
	}
	s := &Server{Server: inner, listener: listener}
	s.life, s.end = context.WithCancelCause(context.Background())
	return s, nil
}

// Exec returns the URL of an exec.
func (s *Server) Exec(r *runtimev1.ExecRequest) (*runtimev1.ExecResponse, error) { return s.GetExec(r) }

// Attach returns the URL of an attach.
func (s *Server) Attach(r *runtimev1.AttachRequest) (*runtimev1.AttachResponse, error) {
	return s.GetAttach(r)
}

// PortForward returns the URL of a port-forward.
func (s *Server) PortForward(r *runtimev1.PortForwardRequest) (*runtimev1.PortForwardResponse, error) {
	return s.GetPortForward(r)
}

// Run serves until ctx ends. Then every stream ends, and its client is told why. Containers go on.
func (s *Server) Run(ctx context.Context) error {
	defer s.end(errStopping)
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve streams: %w", err)
	}
	s.end(errStopping)
	s.settle()
	return nil
}

// settle waits until the requests under way are through, and lets no more begin.
func (s *Server) settle() {
	settled := make(chan struct{})
	go func() {
		s.streams.Lock()
		close(settled)
	}()
	select {
	case <-settled:
	case <-time.After(stopTimeout):
	}
}

// Close frees the port of a server that was never run.
func (s *Server) Close() error { return s.listener.Close() }

// Handler serves the URLs: at the listener, and for callers in the same process without a connection in between. It
// ends a request's context when its connection, taken over for streaming, can no longer be read: net/http
// does not look at connections that were taken over, and a client without standard input says nothing by itself. When
// the server stops, a connection is still there for as long as it takes to say so, in those protocols that can.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.streams.TryRLock() {
			http.Error(w, errStopping.Error(), http.StatusServiceUnavailable)
			return
		}
		defer s.streams.RUnlock()
		// Whoever passed the request on may stop before this server does: that is no client that leaves.
		ctx, cancelCause := context.WithCancelCause(context.WithoutCancel(r.Context()))
		cancel := func() { cancelCause(nil) }
		defer context.AfterFunc(s.life, func() { cancelCause(errStopping) })()
		hijacker := &hijacker{ResponseWriter: w, left: cancel}
		defer hijacker.finish()
		stop := context.AfterFunc(ctx, func() {
			if stopping(ctx) && !strings.HasPrefix(r.URL.Path, "/portforward/") {
				time.AfterFunc(stopTimeout, hijacker.finish)
				return
			}
			hijacker.finish()
		})
		defer stop()
		s.ServeHTTP(hijacker, r.WithContext(ctx))
	})
}

// stopping tells whether ctx ended because the server stops.
func stopping(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errStopping) }

// hijacker hands out a connection that tells when it ends.
type hijacker struct {
	http.ResponseWriter
	left context.CancelFunc

	mu   sync.Mutex
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	taken, ok := h.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("connection cannot be taken over")
	}
	conn, buffered, err := taken.Hijack()
	if err != nil {
		return nil, nil, err
	}
	watched := &watchedConn{Conn: conn, left: h.left}
	h.mu.Lock()
	h.conn = watched
	h.mu.Unlock()
	// What net/http has read ahead must not be lost; what comes after is read through the watched connection.
	ahead, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	reader := bufio.NewReader(&readAhead{ahead: ahead, next: watched})
	return watched, bufio.NewReadWriter(reader, bufio.NewWriterSize(watched, 64<<10)), nil
}

// Flush implements http.Flusher.
func (h *hijacker) Flush() {
	if flusher, ok := h.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// finish closes a connection that was taken over: nobody else does in every case.
func (h *hijacker) finish() {
	h.left()
	h.mu.Lock()
	conn := h.conn
	h.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

type watchedConn struct {
	net.Conn
	left context.CancelFunc
}

// Read implements net.Conn.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !isTimeout(err) {
		c.left()
	}
	return n, err
}

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.left()
	return c.Conn.Close()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

type readAhead struct {
	ahead []byte
	next  net.Conn
}

// Read implements io.Reader.
func (r *readAhead) Read(b []byte) (int, error) {
	if len(r.ahead) == 0 {
		return r.next.Read(b)
	}
	n := copy(b, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}
