package cri

import (
	"context"

	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// metric is one number about a container, under cAdvisor's name for it.
type metric struct {
	name, help string
	kind       runtimev1.MetricType
	value      func(*runtimev1.ContainerStats) *runtimev1.UInt64Value
}

func metrics() []metric {
	return []metric{
		{"container_cpu_usage_seconds_total", "Cumulative CPU time consumed, in whole seconds", runtimev1.MetricType_COUNTER, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value {
			return &runtimev1.UInt64Value{Value: s.GetCpu().GetUsageCoreNanoSeconds().GetValue() / 1e9}
		}},
		{"container_memory_usage_bytes", "Current memory usage, including caches", runtimev1.MetricType_GAUGE, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value { return s.GetMemory().GetUsageBytes() }},
		{"container_memory_working_set_bytes", "Current working set", runtimev1.MetricType_GAUGE, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value { return s.GetMemory().GetWorkingSetBytes() }},
		{"container_memory_rss", "Size of resident anonymous memory in bytes", runtimev1.MetricType_GAUGE, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value { return s.GetMemory().GetRssBytes() }},
		{"container_fs_usage_bytes", "Bytes consumed by the writable layer", runtimev1.MetricType_GAUGE, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value { return s.GetWritableLayer().GetUsedBytes() }},
		{"container_fs_inodes_used", "Inodes consumed by the writable layer", runtimev1.MetricType_GAUGE, func(s *runtimev1.ContainerStats) *runtimev1.UInt64Value { return s.GetWritableLayer().GetInodesUsed() }},
	}
}

func metricLabels() []string { return []string{"id", "name", "image", "pod", "namespace"} }

// ListMetricDescriptors names the metrics that ListPodSandboxMetrics has.
func (s *Server) ListMetricDescriptors(context.Context, *runtimev1.ListMetricDescriptorsRequest) (*runtimev1.ListMetricDescriptorsResponse, error) {
	answer := &runtimev1.ListMetricDescriptorsResponse{}
	for _, m := range metrics() {
		answer.Descriptors = append(answer.Descriptors, &runtimev1.MetricDescriptor{Name: m.name, Help: m.help, LabelKeys: metricLabels()})
	}
	return answer, nil
}

// ListPodSandboxMetrics measures every running container.
func (s *Server) ListPodSandboxMetrics(context.Context, *runtimev1.ListPodSandboxMetricsRequest) (*runtimev1.ListPodSandboxMetricsResponse, error) {
	list, err := s.sandboxMetrics()
	return &runtimev1.ListPodSandboxMetricsResponse{PodMetrics: list}, err
}

// StreamPodSandboxMetrics is ListPodSandboxMetrics in several messages.
func (s *Server) StreamPodSandboxMetrics(_ *runtimev1.StreamPodSandboxMetricsRequest, stream grpc.ServerStreamingServer[runtimev1.StreamPodSandboxMetricsResponse]) error {
	list, err := s.sandboxMetrics()
	if err != nil {
		return err
	}
	return inParts(list, func(part []*runtimev1.PodSandboxMetrics) error {
		return stream.Send(&runtimev1.StreamPodSandboxMetricsResponse{PodSandboxMetrics: part})
	})
}

func (s *Server) sandboxMetrics() ([]*runtimev1.PodSandboxMetrics, error) {
	var list []*runtimev1.PodSandboxMetrics
	for _, box := range s.sandboxes.All() {
		one := &runtimev1.PodSandboxMetrics{PodSandboxId: box.ID}
		meta := box.Config().GetMetadata()
		for _, c := range s.containers.Of(box.ID) {
			if !c.Running() {
				continue
			}
			stats, err := s.containers.Stats(c)
			if err != nil {
				return nil, err
			}
			labels := []string{c.ID, c.Config().GetMetadata().GetName(), c.Config().GetImage().GetImage(), meta.GetName(), meta.GetNamespace()}
			measured := &runtimev1.ContainerMetrics{ContainerId: c.ID}
			for _, m := range metrics() {
				measured.Metrics = append(measured.Metrics, &runtimev1.Metric{Name: m.name, MetricType: m.kind, LabelValues: labels, Value: m.value(stats)})
			}
			one.ContainerMetrics = append(one.ContainerMetrics, measured)
		}
		list = append(list, one)
	}
	return list, nil
}
