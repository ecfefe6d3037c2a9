package cri

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// UpdateContainerResources changes a container's limits.
func (s *Server) UpdateContainerResources(ctx context.Context, r *runtimev1.UpdateContainerResourcesRequest) (*runtimev1.UpdateContainerResourcesResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if r.GetLinux() == nil {
		return nil, fmt.Errorf("update container %q: no Linux resources are given: %w", c.ID, errdefs.ErrInvalidArgument)
	}
	defer s.plugins.HoldOff()()
	change, err := s.plugins.UpdateContainer(ctx, c, r.GetLinux())
	if err != nil {
		return nil, fmt.Errorf("update container %q: %w", c.ID, err)
	}
	if err := s.containers.UpdateResources(c, change); err != nil {
		return nil, err
	}
	s.plugins.PostUpdateContainer(ctx, c)
	return &runtimev1.UpdateContainerResourcesResponse{}, nil
}

// UpdatePodSandboxResources remembers what the client says that the sandbox's containers need together. The Pod's
// cgroup is the client's to limit.
func (s *Server) UpdatePodSandboxResources(ctx context.Context, r *runtimev1.UpdatePodSandboxResourcesRequest) (*runtimev1.UpdatePodSandboxResourcesResponse, error) {
	box, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	defer s.plugins.HoldOff()()
	if err := s.plugins.UpdatePodSandbox(ctx, box, r.GetOverhead(), r.GetResources()); err != nil {
		return nil, fmt.Errorf("update sandbox %q: %w", box.ID, err)
	}
	err = s.sandboxes.UpdateConfig(box, func(config *runtimev1.PodSandboxConfig) {
		if config.Linux == nil {
			config.Linux = &runtimev1.LinuxPodSandboxConfig{}
		}
		config.Linux.Overhead = proto.Clone(r.GetOverhead()).(*runtimev1.LinuxContainerResources)
		config.Linux.Resources = proto.Clone(r.GetResources()).(*runtimev1.LinuxContainerResources)
	})
	if err != nil {
		return nil, err
	}
	s.plugins.PostUpdatePodSandbox(ctx, box)
	return &runtimev1.UpdatePodSandboxResourcesResponse{}, nil
}

// ReopenContainerLog goes on in a new log file after a rotation.
func (s *Server) ReopenContainerLog(ctx context.Context, r *runtimev1.ReopenContainerLogRequest) (*runtimev1.ReopenContainerLogResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	return &runtimev1.ReopenContainerLogResponse{}, s.containers.ReopenLog(ctx, c)
}
