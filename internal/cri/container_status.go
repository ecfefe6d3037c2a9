package cri

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
)

// ContainerStatus describes one container.
func (s *Server) ContainerStatus(_ context.Context, r *runtimev1.ContainerStatusRequest) (*runtimev1.ContainerStatusResponse, error) {
	c, err := s.containers.Get(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	answer := &runtimev1.ContainerStatusResponse{Status: c.Status()}
	if r.GetVerbose() {
		answer.Info, err = s.containerInfo(c)
	}
	return answer, err
}

func (s *Server) containerInfo(c *container.Container) (map[string]string, error) {
	config, err := protojson.Marshal(c.Config())
	if err != nil {
		return nil, fmt.Errorf("describe container %s: %w", c.ID, err)
	}
	built, err := s.containers.Spec(c)
	if err != nil {
		return nil, err
	}
	info, err := json.Marshal(map[string]any{"pid": c.PID(), "sandboxID": c.SandboxID(), "config": json.RawMessage(config), "runtimeSpec": built})
	if err != nil {
		return nil, fmt.Errorf("describe container %s: %w", c.ID, err)
	}
	program, err := s.containers.Program(c)
	if err != nil { // a status tells of containers that cannot be started again, too
		program = "none: " + err.Error()
	}
	return map[string]string{"info": string(info), "program": program}, nil
}

// ListContainers lists the containers that pass the filter, the oldest first.
func (s *Server) ListContainers(_ context.Context, r *runtimev1.ListContainersRequest) (*runtimev1.ListContainersResponse, error) {
	return &runtimev1.ListContainersResponse{Containers: s.listContainers(r.GetFilter())}, nil
}

// StreamContainers is ListContainers in several messages.
func (s *Server) StreamContainers(r *runtimev1.StreamContainersRequest, stream grpc.ServerStreamingServer[runtimev1.StreamContainersResponse]) error {
	return inParts(s.listContainers(r.GetFilter()), func(part []*runtimev1.Container) error {
		return stream.Send(&runtimev1.StreamContainersResponse{Containers: part})
	})
}

func (s *Server) listContainers(filter *runtimev1.ContainerFilter) []*runtimev1.Container {
	var list []*runtimev1.Container
	for _, c := range s.containers.All() {
		item := c.List()
		switch {
		case !strings.HasPrefix(item.GetId(), filter.GetId()),
			!strings.HasPrefix(item.GetPodSandboxId(), filter.GetPodSandboxId()),
			filter.GetState() != nil && filter.GetState().GetState() != item.GetState(),
			!selects(filter.GetLabelSelector(), item.GetLabels()):
			continue
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b *runtimev1.Container) int {
		return cmp.Or(cmp.Compare(a.GetCreatedAt(), b.GetCreatedAt()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return list
}
