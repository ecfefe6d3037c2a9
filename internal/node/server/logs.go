package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/log"
	"github.com/mayfly-run/mayfly/internal/node/pod"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// logQuery is what the parameters of a log request ask for.
type logQuery struct {
	log.Options
	previous bool
	stream   string
}

func (s *server) logs(w http.ResponseWriter, r *http.Request) {
	p := s.find(w, r)
	if p == nil {
		return
	}
	name := r.PathValue("container")
	if !has(p, name) {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", name, r.PathValue("pod")), http.StatusNotFound)
		return
	}
	query, err := parseLogQuery(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	c, err := pick(p, name, query.previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.copyLog(w, r, p, c, query)
}

func (s *server) copyLog(w http.ResponseWriter, r *http.Request, p *pod.Worker, c *runtime.Container, query logQuery) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if query.Follow {
		ended := make(chan struct{})
		query.Ended = ended
		go func() {
			defer close(ended)
			p.WaitExit(ctx, c.GetId())
		}()
	}
	out := &flusher{w: w, now: query.Follow}
	var stdout, stderr io.Writer = out, out
	switch query.stream {
	case corev1.LogStreamStdout:
		stderr = nil
	case corev1.LogStreamStderr:
		stdout = nil
	}
	w.Header().Set("Content-Type", "text/plain")
	out.begin()
	err := log.Read(ctx, p.LogPath(c), query.Options, stdout, stderr)
	if err == nil || ctx.Err() != nil || out.written {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("unable to retrieve container logs for %s", p.ContainerID(c))
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// flusher sends what is written at once when someone is following.
type flusher struct {
	w       http.ResponseWriter
	now     bool
	written bool
}

// begin sends the headers of a follow, before there is anything to send.
func (f *flusher) begin() {
	if f.now {
		f.written = true
		_ = http.NewResponseController(f.w).Flush()
	}
}

func (f *flusher) Write(p []byte) (int, error) {
	f.written = true
	n, err := f.w.Write(p)
	if f.now && err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

// pick finds the run of the container whose log is asked for.
func pick(p *pod.Worker, name string, previous bool) (*runtime.Container, error) {
	object, rt := p.Pod(), p.Observed()
	if previous {
		if c := rt.Previous(name); c != nil {
			return c, nil
		}
		if last := rt.Latest(name); last.Exited() && waits(p, name) {
			return last, nil
		}
		if c := remembered(p, name, true); c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", name, object.Name)
	}
	if c := rt.Latest(name); c != nil && (c.Running() || c.Exited()) {
		return c, nil
	}
	if c := rt.Previous(name); c != nil {
		return c, nil
	}
	if c := remembered(p, name, false); c != nil {
		return c, nil
	}
	reason := "ContainerCreating"
	if s := statusOf(p, name); s != nil && s.State.Waiting != nil {
		reason = s.State.Waiting.Reason
		switch reason {
		case "ErrImagePull":
			return nil, fmt.Errorf("container %q in pod %q is waiting to start: image can't be pulled", name, object.Name)
		case "ImagePullBackOff":
			return nil, fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", name, object.Name)
		}
	}
	return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", name, object.Name, reason)
}

// remembered returns a run that the status still knows and the runtime does not, as after `mayfly down`: its log is
// where it was.
func remembered(p *pod.Worker, name string, previous bool) *runtime.Container {
	s := statusOf(p, name)
	if s == nil {
		return nil
	}
	ended, attempt := s.State.Terminated, s.RestartCount
	if previous || ended == nil {
		if ended != nil || s.State.Running != nil {
			attempt--
		}
		ended = s.LastTerminationState.Terminated
	}
	if ended == nil || ended.ContainerID == "" || attempt < 0 {
		return nil
	}
	return &runtime.Container{ContainerStatus: &runtimev1.ContainerStatus{
		Id:       ended.ContainerID[strings.LastIndex(ended.ContainerID, "/")+1:],
		Metadata: &runtimev1.ContainerMetadata{Name: name, Attempt: uint32(attempt)},
		State:    runtimev1.ContainerState_CONTAINER_EXITED,
	}}
}

func waits(p *pod.Worker, name string) bool {
	s := statusOf(p, name)
	return s != nil && s.State.Waiting != nil
}

func statusOf(p *pod.Worker, name string) *corev1.ContainerStatus {
	now := p.Status()
	for _, list := range [][]corev1.ContainerStatus{now.ContainerStatuses, now.InitContainerStatuses, now.EphemeralContainerStatuses} {
		if s := status.Find(list, name); s != nil {
			return s
		}
	}
	return nil
}

func parseLogQuery(v url.Values, now time.Time) (logQuery, error) {
	var q logQuery
	var errs []error
	number := func(name string, least int64) *int64 {
		if !v.Has(name) || v.Get(name) == "" {
			return nil
		}
		n, err := strconv.ParseInt(v.Get(name), 10, 64)
		if err != nil || n < least {
			errs = append(errs, fmt.Errorf("%s: invalid value %q", name, v.Get(name)))
			return nil
		}
		return &n
	}
	boolean := func(name string) bool {
		if v.Get(name) == "" {
			return false
		}
		b, err := strconv.ParseBool(v.Get(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: invalid value %q", name, v.Get(name)))
		}
		return b
	}
	q.Follow, q.previous, q.Timestamps = boolean("follow"), boolean("previous"), boolean("timestamps")
	q.Tail, q.Limit = number("tailLines", 0), number("limitBytes", 1)
	if seconds := number("sinceSeconds", 1); seconds != nil {
		q.Since = now.Add(-time.Duration(*seconds) * time.Second)
	}
	if text := v.Get("sinceTime"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			errs = append(errs, fmt.Errorf("sinceTime: %w", err))
		}
		q.Since = at
	}
	switch q.stream = v.Get("stream"); q.stream {
	case "", corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr:
	default:
		errs = append(errs, fmt.Errorf("stream: invalid value %q", q.stream))
	}
	return q, errors.Join(errs...)
}
