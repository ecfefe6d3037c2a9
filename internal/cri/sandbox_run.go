package cri

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newID returns 64 hex digits, as clients expect of IDs.
func newID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// RunPodSandbox makes a sandbox that is ready for containers.
func (s *Server) RunPodSandbox(ctx context.Context, r *runtimev1.RunPodSandboxRequest) (*runtimev1.RunPodSandboxResponse, error) {
	if err := s.checkHandler(r.GetRuntimeHandler(), r.GetConfig()); err != nil {
		return nil, err
	}
	if r.GetConfig() == nil {
		return nil, fmt.Errorf("sandbox has no config: %w", errdefs.ErrInvalidArgument)
	}
	defer s.plugins.HoldOff()()
	box, err := s.sandboxes.Run(ctx, newID(), r.GetRuntimeHandler(), r.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("run sandbox %q: %w", r.GetConfig().GetMetadata().GetName(), err)
	}
	s.notifySandbox(box, runtimev1.ContainerEventType_CONTAINER_CREATED_EVENT, runtimev1.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimev1.RunPodSandboxResponse{PodSandboxId: box.ID}, nil
}
