package cri

import (
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// measurement is what the metrics of one container are taken from.
type measurement struct {
	stats    *runtimev1.ContainerStats
	counters container.Counters
	started  int64
	limits   *runtimev1.LinuxContainerResources
}

// containerMetric is one number about a container, under cAdvisor's name for it, which its clients know.
type containerMetric struct {
	name, help string
	kind       runtimev1.MetricType
	value      func(*measurement) uint64
}

// networkMetric is one number about an interface of a sandbox.
type networkMetric struct {
	name, help string
	value      func(*sandbox.Traffic) uint64
}

func metricLabels() []string { return []string{"id", "name", "image", "pod", "namespace"} }

func seconds() uint64 { return uint64(time.Now().Unix()) }

// positive takes "no limit", which is negative, for 0.
func positive(v int64) uint64 { return uint64(max(v, 0)) }

func containerMetrics() []containerMetric {
	const counter, gauge = runtimev1.MetricType_COUNTER, runtimev1.MetricType_GAUGE
	return []containerMetric{
		{"container_blkio_device_usage_total", "Bytes read from and written to block devices", counter, func(m *measurement) uint64 { return m.counters.DiskBytes }},
		{"container_cpu_cfs_periods_total", "Enforcement periods of the CPU quota that have passed", counter, func(m *measurement) uint64 { return m.counters.Periods }},
		{"container_cpu_cfs_throttled_periods_total", "Enforcement periods in which the CPU quota was used up", counter, func(m *measurement) uint64 { return m.counters.ThrottledPeriods }},
		{"container_cpu_cfs_throttled_seconds_total", "Time for which the CPU quota held processes up, in whole seconds", counter, func(m *measurement) uint64 { return m.counters.ThrottledTime / 1e9 }},
		{"container_cpu_system_seconds_total", "CPU time spent in the kernel, in whole seconds", counter, func(m *measurement) uint64 { return m.counters.SystemTime / 1e9 }},
		{"container_cpu_usage_seconds_total", "CPU time spent, in whole seconds", counter, func(m *measurement) uint64 { return m.stats.GetCpu().GetUsageCoreNanoSeconds().GetValue() / 1e9 }},
		{"container_cpu_user_seconds_total", "CPU time spent in programs, in whole seconds", counter, func(m *measurement) uint64 { return m.counters.UserTime / 1e9 }},
		{"container_file_descriptors", "Open file descriptors", gauge, func(m *measurement) uint64 { return m.counters.Files }},
		{"container_fs_inodes_free", "Free inodes of the file system that holds the writable layer", gauge, func(m *measurement) uint64 { return m.counters.DiskInodesFree }},
		{"container_fs_inodes_total", "Inodes of the file system that holds the writable layer", gauge, func(m *measurement) uint64 { return m.counters.DiskInodes }},
		{"container_fs_inodes_used", "Inodes in the writable layer", gauge, func(m *measurement) uint64 { return m.stats.GetWritableLayer().GetInodesUsed().GetValue() }},
		{"container_fs_limit_bytes", "Size of the file system that holds the writable layer", gauge, func(m *measurement) uint64 { return m.counters.DiskLimit }},
		{"container_fs_reads_bytes_total", "Bytes read from block devices", counter, func(m *measurement) uint64 { return m.counters.ReadBytes }},
		{"container_fs_reads_total", "Reads from block devices", counter, func(m *measurement) uint64 { return m.counters.Reads }},
		{"container_fs_usage_bytes", "Bytes in the writable layer", gauge, func(m *measurement) uint64 { return m.stats.GetWritableLayer().GetUsedBytes().GetValue() }},
		{"container_fs_writes_bytes_total", "Bytes written to block devices", counter, func(m *measurement) uint64 { return m.counters.WriteBytes }},
		{"container_fs_writes_total", "Writes to block devices", counter, func(m *measurement) uint64 { return m.counters.Writes }},
		{"container_last_seen", "When the container was measured, in seconds since 1970", gauge, func(*measurement) uint64 { return seconds() }},
		{"container_memory_cache", "Memory that holds content of files", gauge, func(m *measurement) uint64 { return m.counters.Cache }},
		{"container_memory_failcnt", "How often the memory limit was hit", counter, func(m *measurement) uint64 { return m.counters.LimitHits }},
		{"container_memory_failures_total", "Page faults", counter, func(m *measurement) uint64 { return m.counters.PageFaults }},
		{"container_memory_kernel_usage", "Memory that the kernel holds for the container", gauge, func(m *measurement) uint64 { return m.counters.Kernel }},
		{"container_memory_mapped_file", "Memory that holds mapped files", gauge, func(m *measurement) uint64 { return m.counters.Mapped }},
		{"container_memory_max_usage_bytes", "The most memory that was ever in use", gauge, func(m *measurement) uint64 { return m.counters.MaxUsage }},
		{"container_memory_rss", "Resident anonymous memory", gauge, func(m *measurement) uint64 { return m.stats.GetMemory().GetRssBytes().GetValue() }},
		{"container_memory_swap", "Swap in use", gauge, func(m *measurement) uint64 { return m.counters.Swap }},
		{"container_memory_usage_bytes", "Memory in use, caches included", gauge, func(m *measurement) uint64 { return m.stats.GetMemory().GetUsageBytes().GetValue() }},
		{"container_memory_working_set_bytes", "Memory in use that cannot be dropped at once", gauge, func(m *measurement) uint64 { return m.stats.GetMemory().GetWorkingSetBytes().GetValue() }},
		{"container_oom_events_total", "Processes that were killed for want of memory", counter, func(m *measurement) uint64 { return m.counters.OOMs }},
		{"container_processes", "Processes", gauge, func(m *measurement) uint64 { return m.counters.Processes }},
		{"container_sockets", "Open sockets", gauge, func(m *measurement) uint64 { return m.counters.Sockets }},
		{"container_spec_cpu_period", "Length of an enforcement period, in microseconds", gauge, func(m *measurement) uint64 { return positive(m.limits.GetCpuPeriod()) }},
		{"container_spec_cpu_quota", "CPU time allowed in each period, in microseconds; 0 for no limit", gauge, func(m *measurement) uint64 { return positive(m.limits.GetCpuQuota()) }},
		{"container_spec_cpu_shares", "Weight against neighbours", gauge, func(m *measurement) uint64 { return positive(m.limits.GetCpuShares()) }},
		{"container_spec_memory_limit_bytes", "Memory limit; 0 for none", gauge, func(m *measurement) uint64 { return positive(m.limits.GetMemoryLimitInBytes()) }},
		{"container_spec_memory_swap_limit_bytes", "Limit of memory and swap together; 0 for none", gauge, func(m *measurement) uint64 { return positive(m.limits.GetMemorySwapLimitInBytes()) }},
		{"container_start_time_seconds", "When the container started, in seconds since 1970", gauge, func(m *measurement) uint64 { return positive(m.started / 1e9) }},
		{"container_threads", "Threads", gauge, func(m *measurement) uint64 { return m.counters.Threads }},
		{"container_threads_max", "Limit of threads; 0 for none", gauge, func(m *measurement) uint64 { return m.counters.ThreadsMax }},
	}
}

func networkMetrics() []networkMetric {
	return []networkMetric{
		{"container_network_receive_bytes_total", "Bytes received", func(t *sandbox.Traffic) uint64 { return t.RxBytes }},
		{"container_network_receive_packets_total", "Packets received", func(t *sandbox.Traffic) uint64 { return t.RxPackets }},
		{"container_network_receive_errors_total", "Errors while packets were received", func(t *sandbox.Traffic) uint64 { return t.RxErrors }},
		{"container_network_receive_packets_dropped_total", "Packets dropped that were to be received", func(t *sandbox.Traffic) uint64 { return t.RxDropped }},
		{"container_network_transmit_bytes_total", "Bytes sent", func(t *sandbox.Traffic) uint64 { return t.TxBytes }},
		{"container_network_transmit_packets_total", "Packets sent", func(t *sandbox.Traffic) uint64 { return t.TxPackets }},
		{"container_network_transmit_errors_total", "Errors while packets were sent", func(t *sandbox.Traffic) uint64 { return t.TxErrors }},
		{"container_network_transmit_packets_dropped_total", "Packets dropped that were to be sent", func(t *sandbox.Traffic) uint64 { return t.TxDropped }},
	}
}
