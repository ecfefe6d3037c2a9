// Package loopback lets parts of the same process call the API server without a socket, TLS or tokens: requests go
// straight to the handler, as a user that is named when the client is made.
package loopback

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
)

// Loopback carries requests to a handler that is set when the server has been assembled. Until then, and after Close,
// it answers as a closed port would.
type Loopback struct {
	mu      sync.RWMutex
	handler http.Handler
	ctx     context.Context
	cancel  context.CancelFunc
}

// New makes a Loopback without a handler.
func New() *Loopback {
	ctx, cancel := context.WithCancel(context.Background())
	return &Loopback{ctx: ctx, cancel: cancel}
}

// Serve sets the handler.
func (l *Loopback) Serve(h http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handler = h
}

// Close ends all requests, watches too, and refuses new ones.
func (l *Loopback) Close() {
	l.mu.Lock()
	l.handler = nil
	l.mu.Unlock()
	l.cancel()
}

// Config makes clients that act as the given user. Rate limits are off; objects travel as protobuf.
func (l *Loopback) Config(name string, groups ...string) *rest.Config {
	return &rest.Config{
		Host:          "http://mayfly.loopback",
		Transport:     &transport{l: l, user: &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}},
		QPS:           -1,
		UserAgent:     "mayfly (" + name + ")",
		ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf", AcceptContentTypes: "application/vnd.kubernetes.protobuf,application/json"},
	}
}

type identity struct{}

// Authenticator recognizes requests that came over a Loopback, and nothing else.
func Authenticator() authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		u, ok := sender(r)
		if !ok {
			return nil, false, nil
		}
		return &authenticator.Response{User: u}, true, nil
	})
}

// Carried tells whether a request came over a Loopback.
func Carried(r *http.Request) bool {
	_, ok := sender(r)
	return ok
}

func sender(r *http.Request) (user.Info, bool) {
	u, ok := r.Context().Value(identity{}).(user.Info)
	return u, ok
}

type transport struct {
	l    *Loopback
	user user.Info
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.l.mu.RLock()
	handler := t.l.handler
	t.l.mu.RUnlock()
	if handler == nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, syscall.ECONNREFUSED
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), identity{}, t.user))
	stop := context.AfterFunc(t.l.ctx, cancel)
	in := r.Clone(ctx)
	in.RemoteAddr, in.RequestURI = "127.0.0.1:0", r.URL.RequestURI()
	in.Host = r.URL.Host
	// As over HTTP/2: responses stream, and nothing can take the connection over.
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := newWriter(ctx, r)
	go func() {
		defer stop()
		defer cancel()
		defer in.Body.Close()
		defer w.finish()
		handler.ServeHTTP(w, in)
	}()
	select {
	case <-w.started:
		w.response.Body = &body{PipeReader: w.reader, cancel: cancel}
		return w.response, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), w.reader.CloseWithError(ctx.Err()))
	}
}

// body cancels its request when it is closed early, as closing a connection would.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *body) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
