package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// ContainerStats measures one container.
func (s *Server) ContainerStats(_ context.Context, r *runtimev1.ContainerStatsRequest) (*runtimev1.ContainerStatsResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	stats, err := s.containers.Stats(c)
	return &runtimev1.ContainerStatsResponse{Stats: stats}, err
}

// ListContainerStats measures all running containers that pass the filter.
func (s *Server) ListContainerStats(_ context.Context, r *runtimev1.ListContainerStatsRequest) (*runtimev1.ListContainerStatsResponse, error) {
	list, err := s.containerStats(r.GetFilter())
	return &runtimev1.ListContainerStatsResponse{Stats: list}, err
}

// StreamContainerStats is ListContainerStats in several messages.
func (s *Server) StreamContainerStats(r *runtimev1.StreamContainerStatsRequest, stream grpc.ServerStreamingServer[runtimev1.StreamContainerStatsResponse]) error {
	list, err := s.containerStats(r.GetFilter())
	if err != nil {
		return err
	}
	return inParts(list, func(part []*runtimev1.ContainerStats) error {
		return stream.Send(&runtimev1.StreamContainerStatsResponse{ContainerStats: part})
	})
}

func (s *Server) containerStats(filter *runtimev1.ContainerStatsFilter) ([]*runtimev1.ContainerStats, error) {
	var list []*runtimev1.ContainerStats
	for _, c := range s.containers.All() {
		switch {
		case !c.Running(), !strings.HasPrefix(c.ID, filter.GetId()), !strings.HasPrefix(c.SandboxID(), filter.GetPodSandboxId()),
			!selects(filter.GetLabelSelector(), c.Config().GetLabels()):
			continue
		}
		stats, err := s.containers.Stats(c)
		if err != nil {
			return nil, err
		}
		list = append(list, stats)
	}
	return list, nil
}

// PodSandboxStats measures one sandbox.
func (s *Server) PodSandboxStats(_ context.Context, r *runtimev1.PodSandboxStatsRequest) (*runtimev1.PodSandboxStatsResponse, error) {
	box, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	stats, err := s.sandboxStats(box)
	return &runtimev1.PodSandboxStatsResponse{Stats: stats}, err
}

// ListPodSandboxStats measures all ready sandboxes that pass the filter.
func (s *Server) ListPodSandboxStats(_ context.Context, r *runtimev1.ListPodSandboxStatsRequest) (*runtimev1.ListPodSandboxStatsResponse, error) {
	list, err := s.listSandboxStats(r.GetFilter())
	return &runtimev1.ListPodSandboxStatsResponse{Stats: list}, err
}

// StreamPodSandboxStats is ListPodSandboxStats in several messages.
func (s *Server) StreamPodSandboxStats(r *runtimev1.StreamPodSandboxStatsRequest, stream grpc.ServerStreamingServer[runtimev1.StreamPodSandboxStatsResponse]) error {
	list, err := s.listSandboxStats(r.GetFilter())
	if err != nil {
		return err
	}
	return inParts(list, func(part []*runtimev1.PodSandboxStats) error {
		return stream.Send(&runtimev1.StreamPodSandboxStatsResponse{PodSandboxStats: part})
	})
}

func (s *Server) listSandboxStats(filter *runtimev1.PodSandboxStatsFilter) ([]*runtimev1.PodSandboxStats, error) {
	var list []*runtimev1.PodSandboxStats
	for _, box := range s.sandboxes.All() {
		if !box.Ready() || !strings.HasPrefix(box.ID, filter.GetId()) || !selects(filter.GetLabelSelector(), box.Config().GetLabels()) {
			continue
		}
		stats, err := s.sandboxStats(box)
		if err != nil {
			return nil, err
		}
		list = append(list, stats)
	}
	return list, nil
}

// sandboxStats measures the Pod's cgroup, its network, and each running container.
func (s *Server) sandboxStats(box *sandbox.Sandbox) (*runtimev1.PodSandboxStats, error) {
	config := box.Config()
	linux := &runtimev1.LinuxPodSandboxStats{}
	out := &runtimev1.PodSandboxStats{Linux: linux, Attributes: &runtimev1.PodSandboxAttributes{
		Id: box.ID, Metadata: config.GetMetadata(), Labels: config.GetLabels(), Annotations: config.GetAnnotations(),
	}}
	group, err := s.cgroups.Group(box.CgroupParent())
	if err != nil {
		return nil, err
	}
	measured, err := group.Stats()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("measure sandbox %q: %w", box.ID, err)
	}
	var nanoCores uint64
	for _, c := range s.containers.Of(box.ID) {
		if !c.Running() {
			continue
		}
		stats, err := s.containers.Stats(c)
		if err != nil {
			return nil, err
		}
		nanoCores += stats.GetCpu().GetUsageNanoCores().GetValue()
		linux.Containers = append(linux.Containers, stats)
	}
	linux.Cpu, linux.Memory = container.CPU(measured, nanoCores), container.Memory(measured)
	linux.Process = &runtimev1.ProcessUsage{Timestamp: measured.Time.UnixNano(), ProcessCount: &runtimev1.UInt64Value{Value: measured.PIDs}}
	if box.Ready() {
		linux.Network, err = s.sandboxes.NetworkUsage(box)
	}
	return out, err
}
