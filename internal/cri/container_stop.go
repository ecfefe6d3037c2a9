package cri

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
)

// StopContainer asks a container to end, and kills it after the timeout. One that is gone is no error.
func (s *Server) StopContainer(ctx context.Context, r *runtimev1.StopContainerRequest) (*runtimev1.StopContainerResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if errdefs.IsNotFound(err) {
		return &runtimev1.StopContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &runtimev1.StopContainerResponse{}, s.stopContainer(ctx, c, time.Duration(r.GetTimeout())*time.Second)
}

func (s *Server) stopContainer(ctx context.Context, c *container.Container, grace time.Duration) error {
	if err := s.containers.Stop(ctx, c, grace); err != nil {
		return err
	}
	s.plugins.StopContainer(ctx, c)
	return nil
}

// RemoveContainer forgets a container, killing it where need be. One that is gone is no error.
func (s *Server) RemoveContainer(ctx context.Context, r *runtimev1.RemoveContainerRequest) (*runtimev1.RemoveContainerResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if errdefs.IsNotFound(err) {
		return &runtimev1.RemoveContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &runtimev1.RemoveContainerResponse{}, s.removeContainer(ctx, c)
}

func (s *Server) removeContainer(ctx context.Context, c *container.Container) error {
	if err := s.containers.Remove(ctx, c); err != nil {
		return err
	}
	s.plugins.RemoveContainer(ctx, c)
	return nil
}
