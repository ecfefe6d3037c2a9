package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/proxy"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// running returns the running container that the path names, or answers as the kubelet does.
func (s *server) running(w http.ResponseWriter, r *http.Request) *runtime.Container {
	p := s.find(w, r)
	if p == nil {
		return nil
	}
	c := p.Observed().Latest(r.PathValue("container"))
	if !c.Running() {
		http.Error(w, fmt.Sprintf("container not found (%q)", r.PathValue("container")), http.StatusInternalServerError)
		return nil
	}
	return c
}

// exec asks the runtime for a place that streams to a new process, and connects the caller with it.
func (s *server) exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := s.running(w, r)
	if c == nil {
		return
	}
	answer, err := s.Runtime.Exec(r.Context(), &runtimev1.ExecRequest{
		ContainerId: c.GetId(), Cmd: r.URL.Query()["command"], Tty: options.TTY, Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr,
	})
	s.pass(w, r, answer.GetUrl(), err)
}

// attach connects the caller with the streams of a container's main process.
func (s *server) attach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := s.running(w, r)
	if c == nil {
		return
	}
	tty := s.find(w, r).TTY(r.PathValue("container"))
	answer, err := s.Runtime.Attach(r.Context(), &runtimev1.AttachRequest{
		ContainerId: c.GetId(), Tty: tty, Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr && !tty,
	})
	s.pass(w, r, answer.GetUrl(), err)
}

// portForward connects the caller with ports of the Pod's network.
func (s *server) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p := s.find(w, r)
	if p == nil {
		return
	}
	sandbox := p.Observed().Sandbox()
	if sandbox == nil {
		http.Error(w, "pod not found ("+fmt.Sprintf("%q", r.PathValue("pod"))+")", http.StatusInternalServerError)
		return
	}
	answer, err := s.Runtime.PortForward(r.Context(), &runtimev1.PortForwardRequest{PodSandboxId: sandbox.GetId(), Port: options.Ports})
	s.pass(w, r, answer.GetUrl(), err)
}

// pass hands the request on to the runtime's streaming server.
func (s *server) pass(w http.ResponseWriter, r *http.Request, to string, err error) {
	if err != nil {
		http.Error(w, runtime.Reason(err), httpStatus(err))
		return
	}
	location, err := url.Parse(to)
	if err != nil {
		http.Error(w, fmt.Sprintf("runtime's streaming address: %v", err), http.StatusInternalServerError)
		return
	}
	if s.Streams != nil {
		passed := r.Clone(r.Context())
		passed.URL, passed.RequestURI = location, location.RequestURI()
		s.Streams.ServeHTTP(w, passed)
		return
	}
	handler := proxy.NewUpgradeAwareHandler(location, nil, false, true, responder{})
	handler.ServeHTTP(w, r)
}

func httpStatus(err error) int {
	switch status.Code(err) {
	case codes.NotFound:
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.InvalidArgument:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

type responder struct{}

func (responder) Error(w http.ResponseWriter, r *http.Request, err error) {
	slog.DebugContext(r.Context(), "streaming ended with an error", "err", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
