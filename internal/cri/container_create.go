package cri

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CreateContainer makes a container in a sandbox.
func (s *Server) CreateContainer(ctx context.Context, r *runtimev1.CreateContainerRequest) (*runtimev1.CreateContainerResponse, error) {
	box, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	if r.GetConfig() == nil {
		return nil, fmt.Errorf("container has no config: %w", errdefs.ErrInvalidArgument)
	}
	defer s.plugins.HoldOff()()
	c, err := s.containers.Create(ctx, newID(), box, r.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("create container %q: %w", r.GetConfig().GetMetadata().GetName(), err)
	}
	s.plugins.PostCreateContainer(ctx, c)
	return &runtimev1.CreateContainerResponse{ContainerId: c.ID}, nil
}

// StartContainer runs a created container. A container is started once at most.
func (s *Server) StartContainer(ctx context.Context, r *runtimev1.StartContainerRequest) (*runtimev1.StartContainerResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	defer s.plugins.HoldOff()()
	if err := s.containers.Start(ctx, c); err != nil {
		return nil, err
	}
	s.plugins.PostStartContainer(ctx, c)
	return &runtimev1.StartContainerResponse{}, nil
}
