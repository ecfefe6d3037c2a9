package nri

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// CreateContainer asks what shall be different in a container that is about to be made, changes its specification so, and
// returns the limits that it shall have. An error means that there must be none.
func (p *Plugins) CreateContainer(ctx context.Context, box *sandbox.Sandbox, c *container.Container, built *specs.Spec) (*runtimev1.LinuxContainerResources, error) {
	if p == nil {
		return nil, nil
	}
	var answer *api.CreateContainerResponse
	request := &api.CreateContainerRequest{Pod: p.pod(box), Container: describe(c, built)}
	err := p.exchange(c.ID, []stage{0}, made, func() (err error) {
		answer, err = p.adaptation.CreateContainer(context.WithoutCancel(ctx), request)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("NRI plugin refuses the container: %w", err)
	}
	p.tryUpdates(ctx, answer.GetUpdate())
	// That a variable was taken away shows in the request, as later plugins see it, but not in the answer.
	built.Process.Env = slices.DeleteFunc(built.Process.Env, func(pair string) bool { return !named(request.GetContainer().GetEnv(), pair) })
	if err := p.adjust(built, answer.GetAdjust()); err != nil {
		return nil, err
	}
	return toCRI(answer.GetAdjust().GetLinux().GetResources())
}

// named tells whether a list has a variable of the name that pair has.
func named(list []string, pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return slices.ContainsFunc(list, func(have string) bool { return strings.HasPrefix(have, name+"=") })
}

// UndoContainer tells that a container came to nothing, if plugins have heard of it. The caller holds off others.
func (p *Plugins) UndoContainer(ctx context.Context, c *container.Container) {
	if p != nil {
		p.stop(ctx, c)
		p.remove(ctx, c)
	}
}

// PostCreateContainer tells that a container is there.
func (p *Plugins) PostCreateContainer(ctx context.Context, c *container.Container) {
	if p == nil {
		return
	}
	p.tell(ctx, "PostCreateContainer", c.ID, func() error {
		return p.adaptation.PostCreateContainer(context.WithoutCancel(ctx), &api.PostCreateContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
	})
}

// StartContainer tells that a container is about to run. An error means that it must not.
func (p *Plugins) StartContainer(ctx context.Context, c *container.Container) error {
	if p == nil {
		return nil
	}
	p.events.Lock()
	defer p.events.Unlock()
	err := p.adaptation.StartContainer(context.WithoutCancel(ctx), &api.StartContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
	if err != nil {
		return fmt.Errorf("NRI plugin refuses the start: %w", err)
	}
	return nil
}

// PostStartContainer tells that it runs.
func (p *Plugins) PostStartContainer(ctx context.Context, c *container.Container) {
	if p == nil {
		return
	}
	p.tell(ctx, "PostStartContainer", c.ID, func() error {
		return p.adaptation.PostStartContainer(context.WithoutCancel(ctx), &api.PostStartContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
	})
}

// UpdateContainer asks what limits a container shall have whose client asks for change. An error means that it must stay
// as it is.
func (p *Plugins) UpdateContainer(ctx context.Context, c *container.Container, change *runtimev1.LinuxContainerResources) (*runtimev1.LinuxContainerResources, error) {
	if p == nil {
		return change, nil
	}
	p.events.Lock()
	answer, err := p.adaptation.UpdateContainer(context.WithoutCancel(ctx), &api.UpdateContainerRequest{
		Pod: p.podOf(c), Container: p.container(c), LinuxResources: fromCRI(change),
	})
	p.events.Unlock()
	if err != nil {
		return nil, fmt.Errorf("NRI plugin refuses the update: %w", err)
	}
	updates := answer.GetUpdate() // the last is the container's own, nil when nobody changed it
	if len(updates) == 0 {
		return change, nil
	}
	p.tryUpdates(ctx, updates[:len(updates)-1])
	own := updates[len(updates)-1]
	if own == nil {
		return change, nil
	}
	changed, err := update(own.GetLinux().GetResources())
	if err != nil {
		return nil, err
	}
	changed.OomScoreAdj = change.GetOomScoreAdj()
	return changed, nil
}

// PostUpdateContainer tells that it was done.
func (p *Plugins) PostUpdateContainer(ctx context.Context, c *container.Container) {
	if p == nil {
		return
	}
	p.tell(ctx, "PostUpdateContainer", c.ID, func() error {
		return p.adaptation.PostUpdateContainer(context.WithoutCancel(ctx), &api.PostUpdateContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
	})
}

// Exited sees to it that the end of a container is told, and does not wait for that.
func (p *Plugins) Exited(c *container.Container) {
	if p != nil {
		p.work.Go(func() { p.StopContainer(context.Background(), c) })
	}
}

// StopContainer tells, once, that a container has ended, if it has. When it returns, plugins know.
func (p *Plugins) StopContainer(ctx context.Context, c *container.Container) {
	if p != nil && c.State() == runtimev1.ContainerState_CONTAINER_EXITED {
		defer p.HoldOff()()
		p.stop(ctx, c)
	}
}

// RemoveContainer tells, once, that a container is gone.
func (p *Plugins) RemoveContainer(ctx context.Context, c *container.Container) {
	if p != nil {
		defer p.HoldOff()()
		p.stop(ctx, c)
		p.remove(ctx, c)
	}
}

func (p *Plugins) stop(ctx context.Context, c *container.Container) {
	var answer *api.StopContainerResponse
	err := p.exchange(c.ID, []stage{made}, stopped, func() (err error) {
		answer, err = p.adaptation.StopContainer(context.WithoutCancel(ctx), &api.StopContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
		return err
	})
	p.warn(ctx, "StopContainer", c.ID, err)
	p.tryUpdates(ctx, answer.GetUpdate())
}

func (p *Plugins) remove(ctx context.Context, c *container.Container) {
	err := p.exchange(c.ID, []stage{stopped}, 0, func() error {
		return p.adaptation.RemoveContainer(context.WithoutCancel(ctx), &api.RemoveContainerRequest{Pod: p.podOf(c), Container: p.container(c)})
	})
	p.warn(ctx, "RemoveContainer", c.ID, err)
}
