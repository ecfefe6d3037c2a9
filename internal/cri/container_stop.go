package cri

import (
	"context"
	"time"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
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
	return &runtimev1.StopContainerResponse{}, s.containers.Stop(ctx, c, time.Duration(r.GetTimeout())*time.Second)
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
	return &runtimev1.RemoveContainerResponse{}, s.containers.Remove(ctx, c)
}
