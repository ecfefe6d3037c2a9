package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/apiserver/admission"
	"github.com/mayfly-run/mayfly/internal/apiserver/authn"
	"github.com/mayfly-run/mayfly/internal/apiserver/authz"
	"github.com/mayfly-run/mayfly/internal/apiserver/loopback"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/plain"
	"github.com/mayfly-run/mayfly/internal/apiserver/storage"
	"github.com/mayfly-run/mayfly/internal/informer"
)

// drainTimeout bounds how long a stop waits for requests, streams say, that do not end by themselves.
const drainTimeout = 1500 * time.Millisecond

// Server is an assembled API server. Its store is open from New to the end of Run.
type Server struct {
	cfg       Config
	id        string // names this server in metrics and traces
	scheme    *runtime.Scheme
	external  *runtime.Scheme
	codecs    serializer.CodecFactory
	store     *storage.Store
	loop      *loopback.Loopback
	client    kubernetes.Interface
	informers *informer.Factory
	generic   *genericapiserver.GenericAPIServer
	lookup    *lookup
	dynamic   *admission.Dynamic
	policies  plain.Storages
	tokens    *authn.Tokens
	bearer    authenticator.Token // all that believe a token; nil when none does
	closers   []io.Closer         // closed in the end
	rbac      *authz.RBAC
	ready     chan struct{}
	drained   chan struct{} // closed when no request is left
}

// New opens the store and assembles the server; nothing is served yet but ClientConfig's clients. A context that ends
// gives up opening. An error leaves nothing open but cfg.Listener, which is the caller's until Run.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, loop: loopback.New(), ready: make(chan struct{}), drained: make(chan struct{})}
	generic, err := s.open(ctx)
	if err != nil {
		return nil, errors.Join(err, s.closeAll())
	}
	if err := s.assemble(generic); err != nil {
		return nil, errors.Join(fmt.Errorf("assemble API server: %w", err), s.closeAll())
	}
	return s, nil
}

// Ready is closed once the server answers requests and has made its own objects.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// ClientConfig makes clients in this process that act as the given user; they call the handler directly.
func (s *Server) ClientConfig(user string, groups ...string) *rest.Config {
	return s.loop.Config(user, groups...)
}

// Run serves until ctx ends or the store fails, then waits shortly for requests and closes the store.
func (s *Server) Run(ctx context.Context) error {
	// Clients in this process keep the handler until the store is about to close, so that they can say goodbye.
	serving, stop := context.WithCancel(ctx)
	defer stop()
	group, groupCtx := errgroup.WithContext(serving)
	group.Go(func() error {
		if err := s.generic.PrepareRun().RunWithContext(groupCtx); err != nil {
			return fmt.Errorf("serve API: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		select {
		case err := <-s.store.Failed():
			return err
		case <-groupCtx.Done():
			return nil
		}
	})
	group.Go(func() error { return s.prepare(groupCtx) })
	err := group.Wait()
	close(s.drained)
	s.loop.Close()
	s.informers.Shutdown()
	return errors.Join(err, s.close())
}

func (s *Server) close() error {
	s.generic.Destroy()
	return s.closeAll()
}

func (s *Server) closeAll() error {
	var errs []error
	closers := s.closers
	if s.store != nil {
		closers = append(closers, s.store)
	}
	for _, c := range closers {
		if err := c.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %T: %w", c, err))
		}
	}
	return errors.Join(errs...)
}

// prepare makes what clients find on a fresh server, then reports it as ready.
func (s *Server) prepare(ctx context.Context) error {
	s.dynamic.Begin(s.policiesExist(ctx))
	s.informers.Start(s.drained)
	if err := s.bootstrap(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("bootstrap API server: %w", err)
	}
	s.informers.WaitForCacheSync(ctx.Done())
	if ctx.Err() == nil {
		close(s.ready)
	}
	return nil
}
