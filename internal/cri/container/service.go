package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/oci"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/seccomp"
)

// Images gives containers their root file systems.
type Images interface {
	// Rootfs describes an image and keeps it on disk for holder until Release.
	Rootfs(ctx context.Context, ref, holder string) (image.Image, error)
	Release(holder string)
}

// Plugins have a say in containers that nobody else knows of yet, or that do not run yet; see package nri.
type Plugins interface {
	// CreateContainer may change the specification, and returns limits to be changed. Its error ends the container.
	CreateContainer(ctx context.Context, box *sandbox.Sandbox, c *Container, built *specs.Spec) (*runtimev1.LinuxContainerResources, error)
	// UndoContainer tells that a container came to nothing.
	UndoContainer(ctx context.Context, c *Container)
	// StartContainer comes before the only start. Its error ends the container.
	StartContainer(ctx context.Context, c *Container) error
}

// Config of a [Service].
type Config struct {
	RootDir   string
	Cgroups   *cgroup.Host
	Images    Images
	Sandboxes *sandbox.Service
	// Handlers are the OCI runtimes that take the place of launch programs, by the name of the runtime handler.
	Handlers map[string]*oci.Runtime
	// CDIDirs hold descriptions of devices, see package cdi.
	CDIDirs []string
	// AppArmor is the profile of containers that ask for no other, empty for none.
	AppArmor string
	Plugins  Plugins
	// Mounts is the mount namespace that containers' begin as copies of, see package mountns; nil where none is started.
	Mounts *os.File
	// Notify hears of every change of a container's life, in order for one container. It must not block.
	Notify func(kind runtimev1.ContainerEventType, c *Container)
}

// Service keeps all containers.
type Service struct {
	cfg      Config
	store    *state.Store[state.Container]
	accounts accountCache
	filters  seccomp.Cache
	work     sync.WaitGroup // clean-up behind exits
	// delegated maps each *monitor.Process that an OCI runtime runs to its file.
	delegated sync.Map

	mu    sync.Mutex
	byID  map[string]*Container
	names map[string]string // reserved name → ID
}

// New opens the state. [Service.Recover] must follow before anything else.
func New(cfg Config) (*Service, error) {
	if err := os.MkdirAll(filepath.Join(cfg.RootDir, "containers"), 0o711); err != nil {
		return nil, fmt.Errorf("make container directory: %w", err)
	}
	store, err := state.Open[state.Container](filepath.Join(cfg.RootDir, "state"), "containers")
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, store: store, byID: map[string]*Container{}, names: map[string]string{}}
	return s, s.makeScaffold()
}

// Close leaves every container as it is.
func (s *Service) Close() {
	s.work.Wait()
	s.store.Close()
}

// Get finds a container by its ID or by a beginning of it that no other shares.
func (s *Service) Get(id string) (*Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byID[id]; c != nil {
		return c, nil
	}
	var found *Container
	for full, c := range s.byID {
		if id == "" || !strings.HasPrefix(full, id) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("container %q: several begin so: %w", id, errdefs.ErrNotFound)
		}
		found = c
	}
	if found == nil {
		return nil, fmt.Errorf("container %q: %w", id, errdefs.ErrNotFound)
	}
	return found, nil
}

// All returns the containers in no order.
func (s *Service) All() []*Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Container, 0, len(s.byID))
	for _, c := range s.byID {
		all = append(all, c)
	}
	return all
}

// Of returns the containers of a sandbox.
func (s *Service) Of(sandboxID string) []*Container {
	var list []*Container
	for _, c := range s.All() {
		if c.SandboxID() == sandboxID {
			list = append(list, c)
		}
	}
	return list
}

func (s *Service) reserve(c *Container) error {
	name := reservedName(&c.record)
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, taken := s.names[name]; taken {
		return fmt.Errorf("container name %q is reserved for %q: %w", name, holder, errdefs.ErrAlreadyExists)
	}
	s.names[name] = c.ID
	return nil
}

func (s *Service) unreserve(c *Container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, c.ID)
	if name := reservedName(&c.record); s.names[name] == c.ID {
		delete(s.names, name)
	}
}

func (s *Service) publish(c *Container) {
	s.mu.Lock()
	s.byID[c.ID] = c
	s.mu.Unlock()
}

// reservedName is what no two containers may share: the attempt of a container in a sandbox.
func reservedName(r *state.Container) string {
	m := r.Config.Message.GetMetadata()
	return fmt.Sprintf("%s_%s_%d", r.SandboxID, m.GetName(), m.GetAttempt())
}

func (s *Service) dir(id string) string { return filepath.Join(s.cfg.RootDir, "containers", id) }

func (s *Service) save(c *Container) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return nil
	}
	return s.store.Save(c.ID, &c.record)
}
