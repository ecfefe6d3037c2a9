package spec

import (
	"maps"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Resources converts limits; zero values of the CRI mean "not specified" and are left out. `pids.max` in unified is
// understood on every hierarchy, because the CRI has no field of its own for it.
func Resources(r *runtimev1.LinuxContainerResources) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if r == nil {
		return out
	}
	cpu := &specs.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}
	if v := r.GetCpuPeriod(); v != 0 {
		period := uint64(v)
		cpu.Period = &period
	}
	if v := r.GetCpuQuota(); v != 0 {
		cpu.Quota = &v
	}
	if v := r.GetCpuShares(); v != 0 {
		shares := uint64(v)
		cpu.Shares = &shares
	}
	out.CPU = cpu
	out.Memory = memory(r)
	for _, limit := range r.GetHugepageLimits() {
		out.HugepageLimits = append(out.HugepageLimits, specs.LinuxHugepageLimit{Pagesize: limit.GetPageSize(), Limit: limit.GetLimit()})
	}
	unified := maps.Clone(r.GetUnified())
	if v, ok := unified["pids.max"]; ok {
		if limit, err := strconv.ParseInt(v, 10, 64); err == nil {
			out.Pids = &specs.LinuxPids{Limit: &limit}
			delete(unified, "pids.max")
		}
	}
	if len(unified) > 0 {
		out.Unified = unified
	}
	return out
}

// memory allows no swap beyond the limit unless the client says so.
func memory(r *runtimev1.LinuxContainerResources) *specs.LinuxMemory {
	limit, swap := r.GetMemoryLimitInBytes(), r.GetMemorySwapLimitInBytes()
	if limit == 0 && swap == 0 {
		return nil
	}
	m := &specs.LinuxMemory{}
	if limit != 0 {
		m.Limit = &limit
	}
	if swap != 0 {
		m.Swap = &swap
	} else {
		m.Swap = &limit
	}
	return m
}
