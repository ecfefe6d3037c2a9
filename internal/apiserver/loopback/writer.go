package loopback

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// writer is the handler's side of a response.
type writer struct {
	header   http.Header
	reader   *io.PipeReader
	pipe     *io.PipeWriter
	once     sync.Once
	started  chan struct{}
	response *http.Response
	request  *http.Request
	ctx      context.Context // of the request as the handler sees it
}

var _ http.Flusher = (*writer)(nil)

func newWriter(ctx context.Context, r *http.Request) *writer {
	reader, pipe := io.Pipe()
	return &writer{header: http.Header{}, reader: reader, pipe: pipe, started: make(chan struct{}), request: r, ctx: ctx}
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter; the caller's RoundTrip returns with it.
func (w *writer) WriteHeader(code int) {
	if code >= 100 && code < 200 {
		return
	}
	w.once.Do(func() {
		header := w.header.Clone()
		length := int64(-1)
		if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
			length = n
		}
		w.response = &http.Response{
			Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), StatusCode: code,
			Proto: "HTTP/2.0", ProtoMajor: 2,
			Header: header, ContentLength: length, Request: w.request,
		}
		close(w.started)
	})
}

// Write implements http.ResponseWriter; it blocks until the client reads.
func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// CloseNotify implements http.CloseNotifier, which handlers look for on a writer that can stream.
func (w *writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}

// Flush implements http.Flusher: what was written has been read already.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

func (w *writer) finish() {
	if r := recover(); r != nil {
		w.WriteHeader(http.StatusInternalServerError)
		w.pipe.CloseWithError(io.ErrUnexpectedEOF)
		return
	}
	w.WriteHeader(http.StatusOK)
	w.pipe.Close()
}
