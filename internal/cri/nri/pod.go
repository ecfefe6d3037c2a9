package nri

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/containerd/nri/pkg/api"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// RunPodSandbox tells of a sandbox that is whole but for its containers. An error means that there must be none.
func (p *Plugins) RunPodSandbox(ctx context.Context, box *sandbox.Sandbox) error {
	if p == nil {
		return nil
	}
	err := p.exchange(box.ID, []stage{0}, made, func() error {
		return p.adaptation.RunPodSandbox(context.WithoutCancel(ctx), &api.RunPodSandboxRequest{Pod: p.pod(box)})
	})
	if err != nil {
		return fmt.Errorf("NRI plugin refuses the sandbox: %w", err)
	}
	return nil
}

// UndoPodSandbox tells that a sandbox came to nothing, if plugins have heard of it. The caller holds off others.
func (p *Plugins) UndoPodSandbox(ctx context.Context, box *sandbox.Sandbox) {
	if p != nil {
		p.stopPod(ctx, box)
		p.removePod(ctx, box)
	}
}

// UpdatePodSandbox tells what a sandbox's containers shall be given together. An error means that it must stay as it is.
func (p *Plugins) UpdatePodSandbox(ctx context.Context, box *sandbox.Sandbox, overhead, resources *runtimev1.LinuxContainerResources) error {
	if p == nil {
		return nil
	}
	p.events.Lock()
	defer p.events.Unlock()
	_, err := p.adaptation.UpdatePodSandbox(context.WithoutCancel(ctx), &api.UpdatePodSandboxRequest{
		Pod: p.pod(box), OverheadLinuxResources: fromCRI(overhead), LinuxResources: fromCRI(resources),
	})
	if err != nil {
		return fmt.Errorf("NRI plugin refuses the update: %w", err)
	}
	return nil
}

// PostUpdatePodSandbox tells that it was done.
func (p *Plugins) PostUpdatePodSandbox(ctx context.Context, box *sandbox.Sandbox) {
	if p == nil {
		return
	}
	p.tell(ctx, "PostUpdatePodSandbox", box.ID, func() error {
		return p.adaptation.PostUpdatePodSandbox(context.WithoutCancel(ctx), &api.PostUpdatePodSandboxRequest{Pod: p.pod(box)})
	})
}

// StopPodSandbox tells, once, that a sandbox is about to be taken apart, its containers being stopped.
func (p *Plugins) StopPodSandbox(ctx context.Context, box *sandbox.Sandbox) {
	if p != nil {
		defer p.HoldOff()()
		p.stopPod(ctx, box)
	}
}

// RemovePodSandbox tells, once, that a sandbox is gone.
func (p *Plugins) RemovePodSandbox(ctx context.Context, box *sandbox.Sandbox) {
	if p != nil {
		defer p.HoldOff()()
		p.removePod(ctx, box)
	}
}

func (p *Plugins) stopPod(ctx context.Context, box *sandbox.Sandbox) {
	err := p.exchange(box.ID, []stage{made}, stopped, func() error {
		return p.adaptation.StopPodSandbox(context.WithoutCancel(ctx), &api.StopPodSandboxRequest{Pod: p.pod(box)})
	})
	p.warn(ctx, "StopPodSandbox", box.ID, err)
}

func (p *Plugins) removePod(ctx context.Context, box *sandbox.Sandbox) {
	err := p.exchange(box.ID, []stage{made, stopped}, 0, func() error {
		return p.adaptation.RemovePodSandbox(context.WithoutCancel(ctx), &api.RemovePodSandboxRequest{Pod: p.pod(box)})
	})
	p.warn(ctx, "RemovePodSandbox", box.ID, err)
}

// pod describes a sandbox. There is no pause process whose number could be told.
func (p *Plugins) pod(box *sandbox.Sandbox) *api.PodSandbox {
	config := box.Config()
	return &api.PodSandbox{
		Id: box.ID, Name: config.GetMetadata().GetName(), Uid: config.GetMetadata().GetUid(), Namespace: config.GetMetadata().GetNamespace(),
		Labels: maps.Clone(config.GetLabels()), Annotations: maps.Clone(config.GetAnnotations()), RuntimeHandler: box.RuntimeHandler(),
		Ips: box.IPs(),
		Linux: &api.LinuxPodSandbox{
			PodOverhead: fromCRI(config.GetLinux().GetOverhead()), PodResources: fromCRI(config.GetLinux().GetResources()),
			CgroupParent: box.CgroupParent(), CgroupsPath: box.CgroupParent(), Namespaces: namespaces(p.sandboxes.Namespaces(box)),
		},
	}
}

// namespaces lists those that are still there.
func namespaces(paths sandbox.Paths) []*api.LinuxNamespace {
	var list []*api.LinuxNamespace
	for _, ns := range []struct{ kind, path string }{
		{"network", paths.Network}, {"ipc", paths.IPC}, {"uts", paths.UTS}, {"pid", paths.PID}, {"user", paths.User},
	} {
		if _, err := os.Stat(ns.path); err == nil {
			list = append(list, &api.LinuxNamespace{Type: ns.kind, Path: ns.path})
		}
	}
	return list
}
