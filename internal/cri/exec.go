package cri

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/stream"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Exec returns a URL under which a command runs in a container.
func (s *Server) Exec(_ context.Context, r *runtimev1.ExecRequest) (*runtimev1.ExecResponse, error) {
	if _, err := s.runningContainer(r.GetContainerId()); err != nil {
		return nil, err
	}
	return s.streams.Exec(r)
}

// Attach returns a URL under which a container's own streams are.
func (s *Server) Attach(_ context.Context, r *runtimev1.AttachRequest) (*runtimev1.AttachResponse, error) {
	c, err := s.runningContainer(r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if r.GetTty() != c.Config().GetTty() {
		return nil, fmt.Errorf("attach to container %q: tty is %t there, %t was asked: %w", c.ID, c.Config().GetTty(), r.GetTty(), errdefs.ErrInvalidArgument)
	}
	return s.streams.Attach(r)
}

// PortForward returns a URL under which ports of a sandbox are.
func (s *Server) PortForward(_ context.Context, r *runtimev1.PortForwardRequest) (*runtimev1.PortForwardResponse, error) {
	box, err := s.findSandbox(r.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	if !box.Ready() {
		return nil, fmt.Errorf("sandbox %q is not running: %w", box.ID, errdefs.ErrFailedPrecondition)
	}
	return s.streams.PortForward(r)
}

func (s *Server) runningContainer(id string) (*container.Container, error) {
	c, err := s.containers.Get(id)
	if err != nil {
		return nil, err
	}
	if !c.Running() {
		return nil, fmt.Errorf("container %q is not running, it is in %s state: %w", c.ID, c.State(), errdefs.ErrFailedPrecondition)
	}
	return c, nil
}

// target is what the streaming server reaches.
type target struct{ *Server }

// Exec implements stream.Target.
func (t target) Exec(ctx context.Context, id string, command []string, streams container.Streams) (*monitor.Process, error) {
	c, err := t.containers.Get(id)
	if err != nil {
		return nil, err
	}
	return t.containers.Exec(ctx, c, command, streams)
}

// Attach implements stream.Target.
func (t target) Attach(ctx context.Context, id string, streams container.Streams) (stream.Attachment, error) {
	c, err := t.containers.Get(id)
	if err != nil {
		return stream.Attachment{}, err
	}
	attached, err := t.containers.Attach(ctx, c, streams)
	return stream.Attachment{
		Attachment: attached,
		Resize:     func(width, height uint16) error { return t.containers.Resize(ctx, c, width, height) },
		Detachable: c.Config().GetTty() || !c.Config().GetStdinOnce(),
	}, err
}

// Netns implements stream.Target.
func (t target) Netns(id string) (string, error) {
	box, err := t.findSandbox(id)
	if err != nil {
		return "", err
	}
	return t.sandboxes.Namespaces(box).Network, nil
}
