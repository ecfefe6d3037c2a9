package cri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/apparmor"
	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/image/engine"
	"github.com/mayfly-run/mayfly/internal/cri/mountns"
	"github.com/mayfly-run/mayfly/internal/cri/network"
	"github.com/mayfly-run/mayfly/internal/cri/nri"
	"github.com/mayfly-run/mayfly/internal/cri/oci"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/cri/stream"
	"github.com/mayfly-run/mayfly/internal/cri/systemd"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

const (
	// maxMessage bounds one message: an ExecSync answer may carry 16 MiB on each stream.
	maxMessage = 64 << 20
	// stopTimeout is how long calls may go on after Run's context has ended.
	stopTimeout = 2 * time.Second
)

// Server is the runtime. Calls that it does not know answer Unimplemented.
type Server struct {
	runtimev1.UnimplementedRuntimeServiceServer

	cfg        Config
	executable *monitor.Executable
	cgroups    *cgroup.Host
	apparmor   string           // the profile of containers that ask for no other
	systemd    *systemd.Manager // nil where cgroups are made through the file system
	images     *image.Store
	network    *network.Network
	sandboxes  *sandbox.Service
	containers *container.Service
	streams    *stream.Server
	handlers   map[string]*oci.Runtime
	plugins    *nri.Plugins // nil without NRI
	mounts     *os.File     // see package mountns
	events     broadcaster
	grpc       *grpc.Server
	direct     sync.WaitGroup // calls that did not come over the socket
	ready      chan struct{}
}

// New opens everything, and finds again what an earlier runtime on the same directories left running. What of that
// cannot be found is logged and kept aside. Run must follow, with a context that may have ended already.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	s := &Server{cfg: cfg.complete(), ready: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, dir := range []string{cfg.RootDir, cfg.RunDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make runtime directory: %w", err)
		}
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.assemble(s.images, connector{s.network}); err != nil {
		return nil, err
	}
	if err := s.recover(ctx); err != nil {
		slog.ErrorContext(ctx, "not everything was found again", "err", err)
	}
	if s.streams, err = stream.New(stream.Runtime{Target: target{s}}); err != nil {
		return nil, err
	}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.UnaryInterceptor(translateUnary), grpc.StreamInterceptor(translateStream),
	)
	runtimev1.RegisterRuntimeServiceServer(s.grpc, s)
	runtimev1.RegisterImageServiceServer(s.grpc, s.images)
	return s, nil
}

// open opens what does not depend on each other, side by side.
func (s *Server) open(ctx context.Context) (err error) {
	if s.executable, err = monitor.NewExecutable(s.cfg.Monitor); err != nil {
		return fmt.Errorf("prepare pod monitor: %w", err)
	}
	if s.cgroups, err = cgroup.Open(); err != nil {
		return fmt.Errorf("open cgroups: %w", err)
	}
	if s.cfg.SystemdCgroups {
		if s.systemd, err = systemd.Open(); err != nil {
			return err
		}
	}
	if s.handlers, err = openHandlers(ctx, s.cfg); err != nil {
		return err
	}
	if s.cfg.NRI {
		if s.plugins, err = nri.New(s.cfg.nri()); err != nil {
			return err
		}
	}
	opening, openCtx := errgroup.WithContext(ctx)
	opening.Go(func() (err error) {
		if s.images, err = image.New(context.WithoutCancel(openCtx), s.cfg.image()); err != nil {
			return err
		}
		s.mounts, err = mountns.New(s.cfg.RootDir, s.cfg.image().RootDir)
		return err
	})
	opening.Go(func() (err error) {
		s.network, err = network.New(openCtx, s.cfg.network())
		return err
	})
	opening.Go(func() (err error) {
		s.apparmor, err = apparmor.Load(openCtx, s.cfg.appArmorProfile())
		return err
	})
	return opening.Wait()
}

func (s *Server) assemble(images container.Images, network sandbox.Network) (err error) {
	s.sandboxes, err = sandbox.New(sandbox.Config{
		RootDir: s.cfg.RootDir, RunDir: s.cfg.RunDir, CgroupRoot: s.cfg.CgroupRoot,
		Cgroups: s.cgroups, Systemd: s.systemd, Network: network, Executable: s.executable, Plugins: s.plugins, Mounts: s.mounts,
	})
	if err != nil {
		return err
	}
	s.containers, err = container.New(container.Config{
		RootDir: s.cfg.RootDir, Cgroups: s.cgroups, Images: images, Sandboxes: s.sandboxes, Handlers: s.handlers, AppArmor: s.apparmor,
		CDIDirs: s.cfg.CDIDirs, Plugins: s.plugins, Mounts: s.mounts, Notify: s.notify,
	})
	if err != nil {
		return err
	}
	s.sandboxes.Observe(observer{Service: s.containers, server: s})
	return nil
}

// recover brings memory up to date with the machine, bottom up.
func (s *Server) recover(ctx context.Context) error {
	found, err := s.find(ctx)
	errs := []error{err}
	var living []network.Living
	for _, f := range found {
		one := network.Living{ID: f.ID}
		for _, ip := range f.IPs() {
			if addr, err := netip.ParseAddr(ip); err == nil {
				one.IPs = append(one.IPs, addr)
			}
		}
		living = append(living, one)
	}
	return errors.Join(append(errs, s.network.Reconcile(ctx, living), s.images.Settle(ctx))...)
}

// find finds sandboxes and containers, and listens to them from then on.
func (s *Server) find(ctx context.Context) ([]sandbox.Found, error) {
	found, err := s.sandboxes.Recover(ctx)
	err = errors.Join(err, s.containers.Recover(ctx, found))
	for _, f := range found {
		s.sandboxes.Watch(f)
	}
	return found, err
}

// ImageHandler serves the image routes for the command line.
func (s *Server) ImageHandler() http.Handler { return engine.Handler(s.images) }

// Ready is closed once the socket answers.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends. Containers go on; the next Server on the same directories finds them.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	listener, err := listen(s.cfg.Socket)
	if err != nil {
		s.streams.Close()
		return err
	}
	if err := s.plugins.Start(s.sandboxes, s.containers); err != nil {
		s.streams.Close()
		return errors.Join(err, listener.Close())
	}
	running, runCtx := errgroup.WithContext(ctx)
	running.Go(func() error { return s.streams.Run(runCtx) })
	running.Go(func() error {
		if err := s.grpc.Serve(listener); err != nil && runCtx.Err() == nil {
			return fmt.Errorf("serve %s: %w", s.cfg.Socket, err)
		}
		return nil
	})
	stop := context.AfterFunc(runCtx, s.stop)
	defer stop()
	close(s.ready)
	s.sandboxes.Prepare()
	return running.Wait()
}

// stop lets calls under way finish, but not streams of events, which have no end.
func (s *Server) stop() {
	s.events.close()
	force := time.AfterFunc(stopTimeout, s.grpc.Stop)
	defer force.Stop()
	s.grpc.GracefulStop()
	settled := make(chan struct{})
	go func() {
		s.direct.Wait()
		close(settled)
	}()
	select {
	case <-settled:
	case <-time.After(stopTimeout):
	}
}

func (s *Server) close() {
	if s.sandboxes != nil {
		s.sandboxes.Close()
	}
	if s.containers != nil {
		s.containers.Close()
	}
	s.plugins.Close()
	if s.images != nil {
		if err := s.images.Close(); err != nil {
			slog.Warn("image store not closed", "err", err)
		}
	}
	if s.executable != nil {
		s.executable.Close()
	}
	if s.mounts != nil {
		s.mounts.Close()
	}
}

// listen takes the place of a socket that nobody serves any more.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, fmt.Errorf("make socket's directory: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %s: another runtime answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("restrict socket: %w", err)
	}
	return listener, nil
}
