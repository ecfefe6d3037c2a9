package resource

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The kernel's scales, as the kubelet uses them.
const (
	cpuPeriod     = 100_000 // microseconds
	minQuota      = 1_000
	minShares     = 2
	maxShares     = 262_144
	sharesPerCPU  = 1024
	hugepagesSize = "hugepages-"
)

// Linux returns the resources of a regular or init container.
func Linux(pod *corev1.Pod, c *corev1.Container, capacity int64) *runtimev1.LinuxContainerResources {
	r := of(c.Resources)
	r.OomScoreAdj = OOMScoreAdj(pod, c, capacity)
	return r
}

func of(r corev1.ResourceRequirements) *runtimev1.LinuxContainerResources {
	cpu, limited := r.Limits[corev1.ResourceCPU]
	request, asked := r.Requests[corev1.ResourceCPU]
	if !asked && limited {
		request = cpu
	}
	out := &runtimev1.LinuxContainerResources{
		CpuPeriod:          cpuPeriod,
		CpuShares:          Shares(request.MilliValue()),
		CpuQuota:           quota(cpu.MilliValue()),
		MemoryLimitInBytes: r.Limits.Memory().Value(),
		HugepageLimits:     hugepages(r.Limits),
	}
	return out
}

// Shares converts thousandths of a CPU to cpu.shares.
func Shares(milli int64) int64 {
	if milli == 0 {
		return minShares
	}
	return min(max(milli*sharesPerCPU/1000, minShares), maxShares)
}

func quota(milli int64) int64 {
	if milli == 0 {
		return 0
	}
	return max(milli*cpuPeriod/1000, minQuota)
}

func hugepages(limits corev1.ResourceList) []*runtimev1.HugepageLimit {
	var out []*runtimev1.HugepageLimit
	for name, amount := range limits {
		size, ok := strings.CutPrefix(string(name), hugepagesSize)
		if !ok {
			continue
		}
		page, err := resource.ParseQuantity(size)
		if err != nil {
			continue
		}
		out = append(out, &runtimev1.HugepageLimit{PageSize: pageSize(page.Value()), Limit: uint64(amount.Value())})
	}
	return out
}

// pageSize spells a size as the hugetlb cgroup's files do: 2MB, 1GB.
func pageSize(bytes int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}} {
		if bytes >= unit.size {
			return strconv.FormatInt(bytes/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10) + "B"
}

// Caps bounds every ephemeral container, which by the API may ask for nothing itself.
type Caps struct {
	// Memory is in bytes, PIDs a number of tasks; 0 is no bound.
	Memory, PIDs int64
	// CPUShares is the weight against the application's.
	CPUShares int64
	// Unified says that the runtime takes cgroup v2's names in LinuxContainerResources.unified.
	Unified bool
}

// Ephemeral returns the resources of an ephemeral container: capped, and the first to be killed.
func Ephemeral(caps Caps) *runtimev1.LinuxContainerResources {
	r := &runtimev1.LinuxContainerResources{
		CpuPeriod:          cpuPeriod,
		CpuShares:          max(caps.CPUShares, minShares),
		MemoryLimitInBytes: caps.Memory,
		OomScoreAdj:        1000,
	}
	if caps.PIDs > 0 && caps.Unified {
		r.Unified = map[string]string{"pids.max": strconv.FormatInt(caps.PIDs, 10)}
	}
	return r
}
