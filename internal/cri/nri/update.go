package nri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/containerd/nri/pkg/api"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
)

// update does what a plugin asks for of its own accord, and returns what could not be done.
func (p *Plugins) update(ctx context.Context, updates []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) {
	var failed []*api.ContainerUpdate
	var errs []error
	for _, u := range updates {
		if err := p.limit(u); err != nil && !u.GetIgnoreFailure() {
			failed, errs = append(failed, u), append(errs, err)
		}
	}
	return failed, errors.Join(errs...)
}

// tryUpdates does what plugins ask for on the occasion of something else, which goes on whether it can be done or not.
func (p *Plugins) tryUpdates(ctx context.Context, updates []*api.ContainerUpdate) {
	if _, err := p.update(ctx, updates); err != nil {
		slog.WarnContext(ctx, "limits that an NRI plugin wants are not set", "err", err)
	}
}

// limit changes one container. One that is gone needs no limits.
func (p *Plugins) limit(u *api.ContainerUpdate) error {
	c := p.find(u.GetContainerId())
	if c == nil || u.GetLinux().GetResources() == nil {
		return nil
	}
	change, err := update(u.GetLinux().GetResources())
	if err != nil {
		return fmt.Errorf("update container %q: %w", c.ID, err)
	}
	return p.containers.UpdateResources(c, change)
}

// find takes whole IDs alone.
func (p *Plugins) find(id string) *container.Container {
	c, err := p.containers.Get(id)
	if err != nil || c.ID != id {
		return nil
	}
	return c
}

// update reads limits for a container that is there, whose classes can no longer be chosen.
func update(r *api.LinuxResources) (*runtimev1.LinuxContainerResources, error) {
	if r.GetBlockioClass() != nil || r.GetRdtClass() != nil {
		return nil, fmt.Errorf("NRI plugin asks for another class of block I/O or cache: %w", errdefs.ErrInvalidArgument)
	}
	return toCRI(r)
}

// pidsMax is the name under which the CRI's limits carry that of processes.
const pidsMax = "pids.max"

func fromCRI(r *runtimev1.LinuxContainerResources) *api.LinuxResources {
	if r == nil {
		return nil
	}
	out := &api.LinuxResources{Cpu: &api.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}, Memory: &api.LinuxMemory{}, Unified: maps.Clone(r.GetUnified())}
	if v := r.GetCpuShares(); v != 0 {
		out.Cpu.Shares = api.UInt64(v)
	}
	if v := r.GetCpuQuota(); v != 0 {
		out.Cpu.Quota = api.Int64(v)
	}
	if v := r.GetCpuPeriod(); v != 0 {
		out.Cpu.Period = api.UInt64(v)
	}
	if v := r.GetMemoryLimitInBytes(); v != 0 {
		out.Memory.Limit = api.Int64(v)
	}
	if v := r.GetMemorySwapLimitInBytes(); v != 0 {
		out.Memory.Swap = api.Int64(v)
	}
	for _, l := range r.GetHugepageLimits() {
		out.HugepageLimits = append(out.HugepageLimits, &api.HugepageLimit{PageSize: l.GetPageSize(), Limit: l.GetLimit()})
	}
	return out
}

// toCRI refuses what the CRI has no words for. Classes are left to others.
func toCRI(r *api.LinuxResources) (*runtimev1.LinuxContainerResources, error) {
	m, c := r.GetMemory(), r.GetCpu()
	if m.GetReservation() != nil || m.GetKernel() != nil || m.GetKernelTcp() != nil || m.GetSwappiness() != nil || m.GetDisableOomKiller() != nil ||
		c.GetRealtimePeriod() != nil || c.GetRealtimeRuntime() != nil {
		return nil, fmt.Errorf("NRI plugin asks for other limits than those on memory, swap, CPU, huge pages, processes: %w", errdefs.ErrInvalidArgument)
	}
	out := &runtimev1.LinuxContainerResources{
		MemoryLimitInBytes: m.GetLimit().GetValue(), MemorySwapLimitInBytes: m.GetSwap().GetValue(),
		CpuShares: int64(c.GetShares().GetValue()), CpuQuota: c.GetQuota().GetValue(), CpuPeriod: int64(c.GetPeriod().GetValue()),
		CpusetCpus: c.GetCpus(), CpusetMems: c.GetMems(), Unified: maps.Clone(r.GetUnified()),
	}
	for _, l := range r.GetHugepageLimits() {
		out.HugepageLimits = append(out.HugepageLimits, &runtimev1.HugepageLimit{PageSize: l.GetPageSize(), Limit: l.GetLimit()})
	}
	if r.GetPids() != nil {
		out.Unified = joined(out.Unified, map[string]string{pidsMax: strconv.FormatInt(r.GetPids().GetLimit(), 10)})
	}
	return out, nil
}
