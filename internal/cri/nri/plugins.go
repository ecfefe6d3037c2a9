package nri

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// answerTimeout is how long a plugin may think. NRI's own two seconds are less than a plugin may need that looks through a
// machine full of containers when it connects.
const answerTimeout = 5 * time.Second

// Config of [Plugins].
type Config struct {
	// Name and Version introduce the runtime to plugins.
	Name, Version string
	// Socket is where plugins connect, mode 0600.
	Socket string
	// CDIDirs describe the devices that plugins may give to containers, see package cdi.
	CDIDirs []string
}

// stage is how much of a sandbox or container plugins have been told.
type stage int

const (
	made stage = iota + 1
	stopped
)

// Plugins are those that have connected.
type Plugins struct {
	cfg        Config
	adaptation *adaptation.Adaptation
	sandboxes  *sandbox.Service
	containers *container.Service
	work       sync.WaitGroup // ends that are being told

	// events makes events take turns and guards stages. No lock of a sandbox or container is waited for while it is held.
	events sync.Mutex
	stages map[string]stage // by ID
}

// New prepares for plugins. Nobody can connect before [Plugins.Start].
func New(cfg Config) (*Plugins, error) {
	p := &Plugins{cfg: cfg, stages: map[string]stage{}}
	var err error
	adaptation.SetPluginRequestTimeout(answerTimeout) // the library's is one for the whole process
	// No plugins are started from a directory of the host's, which several instances would share: they connect themselves.
	p.adaptation, err = adaptation.New(cfg.Name, cfg.Version, p.synchronize, p.update,
		adaptation.WithSocketPath(cfg.Socket), adaptation.WithPluginPath(""), adaptation.WithPluginConfigPath(""))
	if err != nil {
		return nil, fmt.Errorf("prepare for NRI plugins: %w", err)
	}
	return p, nil
}

// Start lets plugins connect. What the services have by now was there before them.
func (p *Plugins) Start(sandboxes *sandbox.Service, containers *container.Service) error {
	if p == nil {
		return nil
	}
	p.sandboxes, p.containers = sandboxes, containers
	for _, box := range sandboxes.All() {
		p.stages[box.ID] = made
		if !box.Ready() {
			p.stages[box.ID] = stopped
		}
	}
	for _, c := range containers.All() {
		p.stages[c.ID] = made
		if c.State() == runtimev1.ContainerState_CONTAINER_EXITED {
			p.stages[c.ID] = stopped
		}
	}
	if err := p.adaptation.Start(); err != nil {
		return fmt.Errorf("listen for NRI plugins: %w", err)
	}
	if err := os.Chmod(p.cfg.Socket, 0o600); err != nil {
		p.adaptation.Stop()
		return fmt.Errorf("restrict NRI socket: %w", err)
	}
	return nil
}

// Close lets go of all plugins.
func (p *Plugins) Close() {
	if p == nil {
		return
	}
	p.adaptation.Stop()
	p.work.Wait()
}

// HoldOff keeps plugins from connecting until release is called. It is not to be nested.
func (p *Plugins) HoldOff() (release func()) {
	if p == nil {
		return func() {}
	}
	return p.adaptation.BlockPluginSync().Unblock
}

// synchronize tells a plugin that has just connected what is there, and does what it wants changed.
func (p *Plugins) synchronize(ctx context.Context, tell adaptation.SyncCB) error {
	var pods []*api.PodSandbox
	for _, box := range p.sandboxes.All() {
		pods = append(pods, p.pod(box))
	}
	var containers []*api.Container
	for _, c := range p.containers.All() {
		if c.State() == runtimev1.ContainerState_CONTAINER_EXITED {
			continue
		}
		containers = append(containers, p.container(c))
	}
	updates, err := tell(ctx, pods, containers)
	if err != nil {
		return err
	}
	p.tryUpdates(ctx, updates)
	return nil
}

// exchange sends an event if its turn in the life of what has the ID has come.
func (p *Plugins) exchange(id string, from []stage, to stage, send func() error) error {
	p.events.Lock()
	defer p.events.Unlock()
	for _, s := range from {
		if p.stages[id] != s {
			continue
		}
		if p.stages[id] = to; to == 0 {
			delete(p.stages, id)
		}
		return send()
	}
	return nil
}

// tell sends an event that changes nothing, and that nobody can refuse any more.
func (p *Plugins) tell(ctx context.Context, event, id string, send func() error) {
	p.events.Lock()
	defer p.events.Unlock()
	p.warn(ctx, event, id, send())
}

func (p *Plugins) warn(ctx context.Context, event, id string, err error) {
	if err != nil {
		slog.WarnContext(ctx, "NRI plugin failed", "event", event, "id", id, "err", err)
	}
}
