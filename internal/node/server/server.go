// Package server is the kubelet's HTTP API, as API servers and clients of the node expect it:
//
//	GET       /containerLogs/{namespace}/{pod}/{container}   logs.go
//	GET POST  /exec/… /attach/… /portForward/…               stream.go: upgraded, and passed on to the runtime
//	POST      /run/{namespace}/{pod}/{container}             run.go
//	GET       /pods /runningpods/ /stats/summary /metrics    facts.go, stats.go, metrics.go
//	GET       /healthz /livez /readyz
//
// The handler trusts its caller. It belongs behind a private transport, or behind the authentication of serve.go in
// the node package.
package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/mayfly-run/mayfly/internal/node/pod"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// Pods gives the Pods of the node.
type Pods interface {
	// Find returns the named Pod, or nil.
	Find(namespace, name string) *pod.Worker
	List() []*pod.Worker
}

// Config is what the API speaks about.
type Config struct {
	Pods      Pods
	Runtime   *runtime.Client
	Streams   http.Handler // serves the runtime's streaming URLs; nil if they are to be connected to
	NodeName  string
	LogDir    string
	StartedAt time.Time
}

type server struct{ Config }

// New returns the handler of the API.
func New(cfg Config) http.Handler {
	s := &server{cfg}
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/healthz/ping"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	}
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.logs)
	for _, verb := range []string{"GET", "POST"} {
		for _, uid := range []string{"", "/{uid}"} {
			mux.HandleFunc(verb+" /exec/{namespace}/{pod}"+uid+"/{container}", s.exec)
			mux.HandleFunc(verb+" /attach/{namespace}/{pod}"+uid+"/{container}", s.attach)
			mux.HandleFunc(verb+" /portForward/{namespace}/{pod}"+uid, s.portForward)
		}
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/", s.pods)
	mux.HandleFunc("GET /runningpods/", s.pods)
	mux.HandleFunc("GET /stats/summary", s.stats)
	mux.HandleFunc("GET /metrics", s.metrics())
	return mux
}

// find returns the Pod that the path names, or answers that there is none.
func (s *server) find(w http.ResponseWriter, r *http.Request) *pod.Worker {
	found := s.Pods.Find(r.PathValue("namespace"), r.PathValue("pod"))
	if found == nil || r.PathValue("uid") != "" && string(found.Pod().UID) != r.PathValue("uid") {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return nil
	}
	return found
}

// has tells whether the Pod's spec names the container.
func has(p *pod.Worker, name string) bool {
	spec := &p.Pod().Spec
	for _, c := range spec.Containers {
		if c.Name == name {
			return true
		}
	}
	for _, c := range spec.InitContainers {
		if c.Name == name {
			return true
		}
	}
	for _, c := range spec.EphemeralContainers {
		if c.Name == name {
			return true
		}
	}
	return false
}
