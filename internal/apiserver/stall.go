package apiserver

import (
	"net/http"
	"time"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

// endStalled ends watches whose client takes nothing for a while: what waits for such a client, the connection and
// all that hangs on it, would wait forever. Streams are left alone, since a person may look at one line for long.
func endStalled(next http.Handler, after time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := genericapirequest.RequestInfoFrom(r.Context()); ok && info.Verb == "watch" {
			s := newStalling(w, after)
			defer s.watchdog.Stop()
			w = responsewriter.WrapForHTTP1Or2(s)
		}
		next.ServeHTTP(w, r)
	})
}

// stalling has a watchdog that is awake while something waits to be taken.
type stalling struct {
	http.ResponseWriter
	watchdog *time.Timer
	after    time.Duration
}

func newStalling(w http.ResponseWriter, after time.Duration) *stalling {
	control := http.NewResponseController(w)
	s := &stalling{ResponseWriter: w, after: after, watchdog: time.AfterFunc(after, func() {
		// A deadline that is over fails the write that waits. Clients in this process have none, and never stall.
		_ = control.SetWriteDeadline(time.Unix(1, 0))
	})}
	s.watchdog.Stop()
	return s
}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (s *stalling) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write implements io.Writer.
func (s *stalling) Write(b []byte) (int, error) {
	s.watchdog.Reset(s.after)
	return s.ResponseWriter.Write(b)
}

// Flush implements http.Flusher: what was written has been taken when it returns.
func (s *stalling) Flush() {
	s.watchdog.Reset(s.after)
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	s.watchdog.Stop()
}
