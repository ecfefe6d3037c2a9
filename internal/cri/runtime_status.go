package cri

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Version says who the runtime is.
func (s *Server) Version(context.Context, *runtimev1.VersionRequest) (*runtimev1.VersionResponse, error) {
	return &runtimev1.VersionResponse{Version: "0.1.0", RuntimeName: runtimeName, RuntimeVersion: s.cfg.Version, RuntimeApiVersion: apiVersion}, nil
}

// Status says whether the runtime and its network are ready, and what they can do.
func (s *Server) Status(_ context.Context, r *runtimev1.StatusRequest) (*runtimev1.StatusResponse, error) {
	connected := &runtimev1.RuntimeCondition{Type: runtimev1.NetworkReady, Status: true}
	if err := s.network.Status(); err != nil {
		connected.Status, connected.Reason, connected.Message = false, "NetworkPluginNotReady", err.Error()
	}
	answer := &runtimev1.StatusResponse{
		Status:          &runtimev1.RuntimeStatus{Conditions: []*runtimev1.RuntimeCondition{{Type: runtimev1.RuntimeReady, Status: true}, connected}},
		RuntimeHandlers: s.describeHandlers(),
		Features:        &runtimev1.RuntimeFeatures{SupplementalGroupsPolicy: true, MountOptions: true},
	}
	if !r.GetVerbose() {
		return answer, nil
	}
	config := s.cfg
	config.Monitor = nil
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("describe runtime: %w", err)
	}
	answer.Info = map[string]string{"config": string(content)}
	return answer, nil
}

// RuntimeConfig says who makes cgroups: we, through the file system, or systemd.
func (s *Server) RuntimeConfig(context.Context, *runtimev1.RuntimeConfigRequest) (*runtimev1.RuntimeConfigResponse, error) {
	driver := runtimev1.CgroupDriver_CGROUPFS
	if s.systemd != nil {
		driver = runtimev1.CgroupDriver_SYSTEMD
	}
	return &runtimev1.RuntimeConfigResponse{Linux: &runtimev1.LinuxRuntimeConfiguration{CgroupDriver: driver}}, nil
}

// UpdateRuntimeConfig takes note of the node's Pod network; the runtime's own comes from its configuration, since
// Pods are connected before a control plane has handed out networks.
func (s *Server) UpdateRuntimeConfig(context.Context, *runtimev1.UpdateRuntimeConfigRequest) (*runtimev1.UpdateRuntimeConfigResponse, error) {
	return &runtimev1.UpdateRuntimeConfigResponse{}, nil
}

// CheckpointContainer is refused.
func (s *Server) CheckpointContainer(context.Context, *runtimev1.CheckpointContainerRequest) (*runtimev1.CheckpointContainerResponse, error) {
	return nil, fmt.Errorf("checkpoint container: this runtime cannot freeze a process into a file: %w", errdefs.ErrNotImplemented)
}

// CheckpointPod is refused.
func (s *Server) CheckpointPod(context.Context, *runtimev1.CheckpointPodRequest) (*runtimev1.CheckpointPodResponse, error) {
	return nil, fmt.Errorf("checkpoint pod: this runtime cannot freeze processes into a file: %w", errdefs.ErrNotImplemented)
}

// RestorePod is refused.
func (s *Server) RestorePod(context.Context, *runtimev1.RestorePodRequest) (*runtimev1.RestorePodResponse, error) {
	return nil, fmt.Errorf("restore pod: this runtime makes no checkpoints: %w", errdefs.ErrNotImplemented)
}
