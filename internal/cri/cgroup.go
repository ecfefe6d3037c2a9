package cri

import (
	"context"
	"fmt"
	"path"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/spec"
)

// LimitCgroup makes a cgroup above those of sandboxes, unless it is there, and limits it: what a kubelet does beside the CRI,
// for one in the same process. It is named as in LinuxPodSandboxConfig.cgroup_parent; zero fields stay as they are. The
// runtime by itself limits none: what a client says of a sandbox's resources is a sum that leaves out who has no limit.
func (s *Server) LimitCgroup(ctx context.Context, name string, limits *runtimev1.LinuxContainerResources) error {
	resources := spec.Resources(limits)
	if s.systemd != nil {
		if err := s.systemd.LimitSlice(ctx, name, s.cgroups.Unified(), resources); err != nil {
			return err
		}
		name = "/" + path.Base(name)
	}
	group, err := s.cgroups.Group(name)
	if err == nil {
		err = group.Create() // a slice is there, but without the controllers that systemd does not know
	}
	if err == nil {
		err = group.Apply(resources)
	}
	if err != nil {
		return fmt.Errorf("limit cgroup %s: %w", name, err)
	}
	return nil
}
