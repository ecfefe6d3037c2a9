package cri

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// plugin is one over NRI's own library for plugins. It notes what it is told, as "event of name".
type plugin struct {
	stub   stub.Stub
	conn   net.Conn
	there  []string // the names of what was there when it connected
	synced chan struct{}
	closed chan struct{}

	mu     sync.Mutex
	events []string

	// What it does on the occasion of an event, where that is not nil.
	onPod    func(*api.PodSandbox) error
	onCreate func(ctx context.Context, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error)
	onStart  func(ctx context.Context) error
	onUpdate func(c *api.Container, r *api.LinuxResources) []*api.ContainerUpdate
}

// validator is one that has the last word on what others want changed.
type validator struct {
	plugin
	onValidate func(*api.ValidateContainerAdjustmentRequest) error
}

func withPlugins(c *Config) { c.NRI = true }

// plug connects a plugin, and returns when it has been told what is there.
func (f *fixture) plug(index string, p *plugin) *plugin { return f.plugAs(index, p, p) }

func (f *fixture) plugAs(index string, p *plugin, as any) *plugin {
	f.Helper()
	p.synced, p.closed = make(chan struct{}), make(chan struct{})
	var err error
	dial := func(path string) (_ net.Conn, err error) {
		p.conn, err = net.Dial("unix", path)
		return p.conn, err
	}
	p.stub, err = stub.New(as, stub.WithPluginName("test"), stub.WithPluginIdx(index), stub.WithSocketPath(f.cfg.nri().Socket),
		stub.WithDialer(dial), stub.WithOnClose(func() { close(p.closed) }))
	if err == nil {
		err = p.stub.Start(context.Background())
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.stub.Stop)
	<-p.synced
	return p
}

// told waits until the plugin has heard of all of these, and returns what it has heard of since the last time.
func (p *plugin) told(t *testing.T, all ...string) []string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		events := slices.Clone(p.events)
		if !slices.ContainsFunc(all, func(event string) bool { return !slices.Contains(events, event) }) {
			p.events = nil
			p.mu.Unlock()
			return events
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("the plugin never heard of all of %q, but of %q", all, events)
		}
	}
}

func (p *plugin) note(event, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event+" "+name)
}

func (p *plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	names := []string{}
	for _, pod := range pods {
		names = append(names, pod.GetName())
	}
	for _, c := range containers {
		names = append(names, c.GetName())
	}
	slices.Sort(names)
	p.there = names
	close(p.synced)
	return nil, nil
}

func (p *plugin) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	p.note("run", pod.GetName())
	if p.onPod != nil {
		return p.onPod(pod)
	}
	return nil
}

func (p *plugin) UpdatePodSandbox(_ context.Context, pod *api.PodSandbox, _, _ *api.LinuxResources) error {
	p.note("update", pod.GetName())
	return nil
}

func (p *plugin) PostUpdatePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	p.note("updated", pod.GetName())
	return nil
}

func (p *plugin) StopPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	p.note("stop", pod.GetName())
	return nil
}

func (p *plugin) RemovePodSandbox(_ context.Context, pod *api.PodSandbox) error {
	p.note("remove", pod.GetName())
	return nil
}

func (p *plugin) CreateContainer(ctx context.Context, _ *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	p.note("create", c.GetName())
	if p.onCreate != nil {
		return p.onCreate(ctx, c)
	}
	return nil, nil, nil
}

func (p *plugin) PostCreateContainer(_ context.Context, _ *api.PodSandbox, c *api.Container) error {
	p.note("created", c.GetName())
	return nil
}

func (p *plugin) StartContainer(ctx context.Context, _ *api.PodSandbox, c *api.Container) error {
	p.note("start", c.GetName())
	if p.onStart != nil {
		return p.onStart(ctx)
	}
	return nil
}

func (p *plugin) PostStartContainer(_ context.Context, _ *api.PodSandbox, c *api.Container) error {
	p.note("started", c.GetName())
	return nil
}

func (p *plugin) UpdateContainer(_ context.Context, _ *api.PodSandbox, c *api.Container, r *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	p.note("update", c.GetName())
	if p.onUpdate != nil {
		return p.onUpdate(c, r), nil
	}
	return nil, nil
}

func (p *plugin) PostUpdateContainer(_ context.Context, _ *api.PodSandbox, c *api.Container) error {
	p.note("updated", c.GetName())
	return nil
}

func (p *plugin) StopContainer(_ context.Context, _ *api.PodSandbox, c *api.Container) ([]*api.ContainerUpdate, error) {
	p.note("stop", c.GetName())
	return nil, nil
}

func (p *plugin) RemoveContainer(_ context.Context, _ *api.PodSandbox, c *api.Container) error {
	p.note("remove", c.GetName())
	return nil
}

func (p *validator) ValidateContainerAdjustment(_ context.Context, r *api.ValidateContainerAdjustmentRequest) error {
	return p.onValidate(r)
}
