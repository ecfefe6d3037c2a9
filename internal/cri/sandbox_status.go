package cri

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
)

// PodSandboxStatus describes one sandbox and its containers.
func (s *Server) PodSandboxStatus(_ context.Context, r *runtimev1.PodSandboxStatusRequest) (*runtimev1.PodSandboxStatusResponse, error) {
	box, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	answer := &runtimev1.PodSandboxStatusResponse{Status: box.Status(), Timestamp: time.Now().UnixNano()}
	for _, c := range s.containers.Of(box.ID) {
		answer.ContainersStatuses = append(answer.ContainersStatuses, c.Status())
	}
	if r.GetVerbose() {
		answer.Info, err = s.sandboxInfo(box)
	}
	return answer, err
}

func (s *Server) sandboxInfo(box *sandbox.Sandbox) (map[string]string, error) {
	config, err := protojson.Marshal(box.Config())
	if err != nil {
		return nil, fmt.Errorf("describe sandbox %s: %w", box.ID, err)
	}
	pid := 0
	if client := box.Monitor(); client != nil {
		pid = client.PID()
	}
	info, err := json.Marshal(map[string]any{
		"monitorPID": pid, "namespaces": s.sandboxes.Namespaces(box), "cgroupParent": box.CgroupParent(), "config": json.RawMessage(config),
	})
	if err != nil {
		return nil, fmt.Errorf("describe sandbox %s: %w", box.ID, err)
	}
	return map[string]string{"info": string(info)}, nil
}

// findSandbox also takes the beginning of an ID that no other shares, as people type it.
func (s *Server) findSandbox(id string) (*sandbox.Sandbox, error) {
	box, err := s.sandboxes.Get(id)
	if err == nil || id == "" {
		return box, err
	}
	var found []*sandbox.Sandbox
	for _, other := range s.sandboxes.All() {
		if strings.HasPrefix(other.ID, id) {
			found = append(found, other)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, err
}

// ListPodSandbox lists the sandboxes that pass the filter, the oldest first.
func (s *Server) ListPodSandbox(_ context.Context, r *runtimev1.ListPodSandboxRequest) (*runtimev1.ListPodSandboxResponse, error) {
	return &runtimev1.ListPodSandboxResponse{Items: s.listSandboxes(r.GetFilter())}, nil
}

// StreamPodSandboxes is ListPodSandbox in several messages.
func (s *Server) StreamPodSandboxes(r *runtimev1.StreamPodSandboxesRequest, stream grpc.ServerStreamingServer[runtimev1.StreamPodSandboxesResponse]) error {
	return inParts(s.listSandboxes(r.GetFilter()), func(part []*runtimev1.PodSandbox) error {
		return stream.Send(&runtimev1.StreamPodSandboxesResponse{PodSandboxes: part})
	})
}

func (s *Server) listSandboxes(filter *runtimev1.PodSandboxFilter) []*runtimev1.PodSandbox {
	var list []*runtimev1.PodSandbox
	for _, box := range s.sandboxes.All() {
		item := box.List()
		switch {
		case !strings.HasPrefix(item.GetId(), filter.GetId()),
			filter.GetState() != nil && filter.GetState().GetState() != item.GetState(),
			!selects(filter.GetLabelSelector(), item.GetLabels()):
			continue
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b *runtimev1.PodSandbox) int {
		return cmp.Or(cmp.Compare(a.GetCreatedAt(), b.GetCreatedAt()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return list
}

// selects tells whether labels hold every pair of the selector.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// part is how many items one message of a streamed list carries.
const part = 200

func inParts[T any](list []T, send func([]T) error) error {
	for items := range slices.Chunk(list, part) {
		if err := send(items); err != nil {
			return err
		}
	}
	return nil
}
