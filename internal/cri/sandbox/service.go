package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/cri/systemd"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// PauseID is the name of the pause process at the monitor. No container has it: theirs are 64 hex digits.
const PauseID = "pause"

// Network connects sandboxes with a network namespace of their own.
type Network interface {
	// Setup returns the addresses, the main one first. It leaves nothing behind when it fails.
	Setup(ctx context.Context, id, netns string, config *runtimev1.PodSandboxConfig) ([]string, error)
	// Teardown may be called more than once, and after the namespace is gone.
	Teardown(ctx context.Context, id, netns string, config *runtimev1.PodSandboxConfig) error
}

// Observer hears of what happens inside sandboxes. Its methods are called in order for one sandbox, and must not
// wait for another event of it.
type Observer interface {
	// Changed tells a container's new status.
	Changed(ctx context.Context, s *Sandbox, status monitor.Status)
	// Lost tells that the monitor died, with the last that is known of its containers.
	Lost(ctx context.Context, s *Sandbox, last []monitor.Status)
	// Stopped tells that the sandbox's shared PID namespace has ended, and all its processes with it.
	Stopped(s *Sandbox)
}

// Plugins have a say in sandboxes that nobody else knows of yet, see package nri.
type Plugins interface {
	// RunPodSandbox comes when there is everything but containers. Its error ends the sandbox.
	RunPodSandbox(ctx context.Context, s *Sandbox) error
	// UndoPodSandbox tells that a sandbox came to nothing.
	UndoPodSandbox(ctx context.Context, s *Sandbox)
}

// Config of a [Service].
type Config struct {
	// RootDir keeps what must survive the machine's restart, RunDir what need not.
	RootDir, RunDir string
	// CgroupRoot is the instance's cgroup: monitors live in a child of it, and Pods whose client names no parent.
	CgroupRoot string
	Cgroups    *cgroup.Host
	// Systemd makes the cgroups of sandboxes; nil where they are made through the file system. CgroupRoot is a slice then.
	Systemd    *systemd.Manager
	Network    Network
	Executable *monitor.Executable
	Plugins    Plugins
	// Mounts is the mount namespace that pause processes' begin as copies of, see package mountns; nil where none is started.
	Mounts *os.File
}

// Service runs, finds, stops and removes sandboxes.
type Service struct {
	cfg        Config
	namespaces *Namespaces
	store      *state.Store[state.Sandbox]
	monitors   *cgroup.Group // nil with systemd
	spares     spares
	observer   Observer
	ctx        context.Context // of the event pumps: the service's own life, ended by Close
	cancel     context.CancelFunc
	pumps      sync.WaitGroup

	mu    sync.Mutex
	byID  map[string]*Sandbox
	names map[string]string // reserved name → ID
}

// New opens the state. [Service.Recover] must follow before anything else.
func New(cfg Config) (*Service, error) {
	namespaces, err := NewNamespaces(cfg.RunDir, cfg.Executable)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Join(cfg.RunDir, "monitor"), filepath.Join(cfg.RootDir, "sandboxes")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make runtime directory: %w", err)
		}
	}
	store, err := state.Open[state.Sandbox](filepath.Join(cfg.RootDir, "state"), "sandboxes")
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, namespaces: namespaces, store: store, byID: map[string]*Sandbox{}, names: map[string]string{}}
	if cfg.Systemd == nil {
		if s.monitors, err = cfg.Cgroups.Group(cfg.CgroupRoot + "/monitor"); err == nil {
			err = s.monitors.Create()
		}
	}
	if err != nil {
		store.Close()
		return nil, fmt.Errorf("make cgroup of monitors: %w", err)
	}
	s.spares = spares{dir: s.monitorDir(""), start: s.startMonitor}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Observe sets who hears of events. It comes before Recover and Run.
func (s *Service) Observe(o Observer) { s.observer = o }

// Close leaves every sandbox running and lets go of it.
func (s *Service) Close() {
	s.cancel()
	s.spares.close()
	for _, sandbox := range s.All() {
		if client := sandbox.Monitor(); client != nil {
			client.Close()
		}
	}
	s.pumps.Wait()
	s.store.Close()
}

// Get finds a sandbox by its ID.
func (s *Service) Get(id string) (*Sandbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sandbox := s.byID[id]; sandbox != nil {
		return sandbox, nil
	}
	return nil, fmt.Errorf("sandbox %q: %w", id, errdefs.ErrNotFound)
}

// All returns the sandboxes in no order.
func (s *Service) All() []*Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Sandbox, 0, len(s.byID))
	for _, sandbox := range s.byID {
		all = append(all, sandbox)
	}
	return all
}

// Namespaces returns the paths of what the sandbox shares with its containers.
func (s *Service) Namespaces(sandbox *Sandbox) Paths {
	return s.namespaces.PathsOf(sandbox.ID, wanted(sandbox.Config(), ""))
}

// Files returns the host paths of what every container of the sandbox sees.
func (s *Service) Files(sandbox *Sandbox) Files {
	return s.namespaces.FilesOf(sandbox.ID, s.dir(sandbox.ID), wanted(sandbox.Config(), "").IPC)
}

// UpdateConfig changes what the sandbox is remembered to have been asked for.
func (s *Service) UpdateConfig(sandbox *Sandbox, change func(*runtimev1.PodSandboxConfig)) error {
	sandbox.mu.Lock()
	defer sandbox.mu.Unlock()
	config := clone(sandbox.record.Config.Message)
	change(config)
	sandbox.record.Config.Message = config
	return s.store.Save(sandbox.ID, &sandbox.record)
}

func (s *Service) dir(id string) string { return filepath.Join(s.cfg.RootDir, "sandboxes", id) }

// monitorDir has a short name: the kernel takes 107 bytes of a socket's path.
func (s *Service) monitorDir(id string) string {
	return filepath.Join(s.cfg.RunDir, "monitor", id[:min(len(id), 16)])
}

// reserve takes a Pod's name, so that a repeated request cannot make a second sandbox of one attempt.
func (s *Service) reserve(sandbox *Sandbox, config *runtimev1.PodSandboxConfig) error {
	name := reservedName(config)
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, taken := s.names[name]; taken {
		return fmt.Errorf("sandbox name %q is reserved for %q: %w", name, holder, errdefs.ErrAlreadyExists)
	}
	s.names[name] = sandbox.ID
	return nil
}

// publish lets others find a sandbox.
func (s *Service) publish(sandbox *Sandbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[sandbox.ID] = sandbox
}

func (s *Service) forget(sandbox *Sandbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sandbox.ID)
	if name := reservedName(sandbox.record.Config.Message); s.names[name] == sandbox.ID {
		delete(s.names, name)
	}
}

func reservedName(config *runtimev1.PodSandboxConfig) string {
	m := config.GetMetadata()
	return fmt.Sprintf("%s_%s_%s_%d", m.GetName(), m.GetNamespace(), m.GetUid(), m.GetAttempt())
}

// watch pumps the monitor's events to the observer until the connection ends, and tells whether the monitor died.
func (s *Service) watch(sandbox *Sandbox, client *monitor.Client, events <-chan monitor.Event) {
	s.pumps.Go(func() {
		for event := range events {
			s.handle(sandbox, event.Status)
		}
		if s.ctx.Err() != nil {
			return
		}
		s.lost(sandbox, client)
	})
}

func (s *Service) handle(sandbox *Sandbox, status monitor.Status) {
	if status.ID != PauseID {
		s.observer.Changed(s.ctx, sandbox, status)
		return
	}
	if status.Phase != monitor.Running {
		s.markStopped(sandbox)
		s.observer.Stopped(sandbox)
	}
}

// lost deals with a monitor that is gone although nobody stopped it.
func (s *Service) lost(sandbox *Sandbox, client *monitor.Client) {
	sandbox.mu.Lock()
	mine := sandbox.client == client
	if mine {
		sandbox.client = nil
	}
	sandbox.mu.Unlock()
	if !mine { // stopped on purpose
		return
	}
	client.Close()
	slog.WarnContext(s.ctx, "monitor died", "sandbox", sandbox.ID)
	s.markStopped(sandbox)
	last, err := monitor.ReadState(s.monitorDir(sandbox.ID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		slog.WarnContext(s.ctx, "state of dead monitor not read", "sandbox", sandbox.ID, "err", err)
	}
	s.observer.Lost(s.ctx, sandbox, last)
}

func (s *Service) markStopped(sandbox *Sandbox) {
	sandbox.mu.Lock()
	defer sandbox.mu.Unlock()
	if sandbox.removed || sandbox.record.Phase == state.Stopped {
		return
	}
	sandbox.record.Phase = state.Stopped
	if err := s.store.Save(sandbox.ID, &sandbox.record); err != nil {
		slog.ErrorContext(s.ctx, "sandbox state not kept", "sandbox", sandbox.ID, "err", err)
	}
}
