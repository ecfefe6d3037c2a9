package cri

import (
	"context"
	"errors"
	"os"

	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// ListMetricDescriptors names the metrics that ListPodSandboxMetrics has.
func (s *Server) ListMetricDescriptors(context.Context, *runtimev1.ListMetricDescriptorsRequest) (*runtimev1.ListMetricDescriptorsResponse, error) {
	answer := &runtimev1.ListMetricDescriptorsResponse{}
	for _, m := range containerMetrics() {
		answer.Descriptors = append(answer.Descriptors, &runtimev1.MetricDescriptor{Name: m.name, Help: m.help, LabelKeys: metricLabels()})
	}
	for _, m := range networkMetrics() {
		answer.Descriptors = append(answer.Descriptors, &runtimev1.MetricDescriptor{Name: m.name, Help: m.help, LabelKeys: append(metricLabels(), "interface")})
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
		if box.Ready() {
			traffic, err := s.sandboxes.Traffic(box)
			if err != nil {
				return nil, err
			}
			one.Metrics = trafficMetrics(box, traffic)
		}
		for _, c := range s.containers.Of(box.ID) {
			measured, err := s.measure(box, c)
			if err != nil {
				return nil, err
			}
			if measured != nil {
				one.ContainerMetrics = append(one.ContainerMetrics, measured)
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// measure returns nil for a container that does not run, or not any more.
func (s *Server) measure(box *sandbox.Sandbox, c *container.Container) (*runtimev1.ContainerMetrics, error) {
	if !c.Running() {
		return nil, nil
	}
	stats, err := s.containers.Stats(c)
	if err != nil {
		return nil, err
	}
	counters, err := s.containers.Count(c)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := measurement{stats: stats, counters: counters, started: c.Status().GetStartedAt(), limits: c.Config().GetLinux().GetResources()}
	meta := box.Config().GetMetadata()
	labels := []string{c.ID, c.Config().GetMetadata().GetName(), c.Config().GetImage().GetImage(), meta.GetName(), meta.GetNamespace()}
	out := &runtimev1.ContainerMetrics{ContainerId: c.ID}
	for _, one := range containerMetrics() {
		out.Metrics = append(out.Metrics, &runtimev1.Metric{
			Name: one.name, MetricType: one.kind, LabelValues: labels, Value: &runtimev1.UInt64Value{Value: one.value(&m)},
		})
	}
	return out, nil
}

func trafficMetrics(box *sandbox.Sandbox, traffic []sandbox.Traffic) []*runtimev1.Metric {
	var out []*runtimev1.Metric
	meta := box.Config().GetMetadata()
	for _, t := range traffic {
		labels := []string{box.ID, "", "", meta.GetName(), meta.GetNamespace(), t.Interface}
		for _, one := range networkMetrics() {
			out = append(out, &runtimev1.Metric{
				Name: one.name, MetricType: runtimev1.MetricType_COUNTER, LabelValues: labels, Value: &runtimev1.UInt64Value{Value: one.value(&t)},
			})
		}
	}
	return out
}
