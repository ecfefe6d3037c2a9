package stream

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

const (
	// lingerQuiet is how long nothing must have moved, in either direction, for an answer to be taken as complete.
	lingerQuiet = time.Second
	// lingerMax is how long after the last input an answer is waited for that does not come to an end.
	lingerMax = 5 * time.Second
)

// linger decides when a session whose input has ended is over. A person who leaves has typed nothing for a moment and
// is let go at once; a command that was piped in gets its answer. The methods also work on nil, where they do nothing.
type linger struct {
	in, out atomic.Int64 // when bytes last moved, in nanoseconds; 0 is never
}

// input returns w, watched.
func (l *linger) input(w io.Writer) io.Writer {
	if l == nil {
		return w
	}
	return watchedWriter{w, &l.in}
}

// output returns w, watched.
func (l *linger) output(w io.Writer) io.Writer {
	if l == nil {
		return w
	}
	return watchedWriter{w, &l.out}
}

// wait returns when the session is over, or with ctx.
func (l *linger) wait(ctx context.Context) {
	for {
		left := l.left(time.Now())
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// left is how long the session lasts at least, seen from now. Without input there is nothing to be answered.
func (l *linger) left(now time.Time) time.Duration {
	in := l.in.Load()
	if in == 0 {
		return 0
	}
	quiet := time.Unix(0, max(in, l.out.Load())).Add(lingerQuiet).Sub(now)
	return min(quiet, time.Unix(0, in).Add(lingerMax).Sub(now))
}

type watchedWriter struct {
	io.Writer
	moved *atomic.Int64
}

// Write implements io.Writer.
func (w watchedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.moved.Store(time.Now().UnixNano())
	return n, err
}
