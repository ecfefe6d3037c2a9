package cri

import (
	"context"
	"errors"
	"sync"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// StopPodSandbox kills what runs in a sandbox and gives back what it holds. One that is gone is no error.
func (s *Server) StopPodSandbox(ctx context.Context, r *runtimev1.StopPodSandboxRequest) (*runtimev1.StopPodSandboxResponse, error) {
	box, err := s.sandboxes.Get(r.GetPodSandboxId())
	if errdefs.IsNotFound(err) {
		return &runtimev1.StopPodSandboxResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &runtimev1.StopPodSandboxResponse{}, s.stopSandbox(ctx, box)
}

func (s *Server) stopSandbox(ctx context.Context, box *sandbox.Sandbox) error {
	was := box.Ready()
	var stopping sync.WaitGroup
	list := s.containers.Of(box.ID)
	errs := make([]error, len(list))
	for i, c := range list {
		stopping.Go(func() { errs[i] = s.stopContainer(ctx, c, 0) })
	}
	stopping.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.plugins.StopPodSandbox(ctx, box)
	if err := s.sandboxes.Stop(ctx, box); err != nil {
		return err
	}
	if was {
		s.notifySandbox(box, runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
	}
	return nil
}

// RemovePodSandbox forgets a sandbox and its containers, stopping them where need be. One that is gone is no error.
func (s *Server) RemovePodSandbox(ctx context.Context, r *runtimev1.RemovePodSandboxRequest) (*runtimev1.RemovePodSandboxResponse, error) {
	box, err := s.sandboxes.Get(r.GetPodSandboxId())
	if errdefs.IsNotFound(err) {
		return &runtimev1.RemovePodSandboxResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &runtimev1.RemovePodSandboxResponse{}, s.removeSandbox(ctx, box)
}

func (s *Server) removeSandbox(ctx context.Context, box *sandbox.Sandbox) error {
	var errs []error
	for _, c := range s.containers.Of(box.ID) {
		errs = append(errs, s.removeContainer(ctx, c))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.stopSandbox(ctx, box); err != nil {
		return err
	}
	if err := s.sandboxes.Remove(ctx, box); err != nil {
		return err
	}
	s.plugins.RemovePodSandbox(ctx, box)
	s.notifySandbox(box, runtimev1.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}
