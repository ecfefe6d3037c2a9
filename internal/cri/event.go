package cri

import (
	"context"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// eventQueue is how far one reader may fall behind before it is cut off, so that it notices and looks for itself.
const eventQueue = 4096

// broadcaster hands every event to every reader, in order.
type broadcaster struct {
	mu      sync.Mutex
	readers map[chan *runtimev1.ContainerEventResponse]struct{}
	closed  bool
}

func (b *broadcaster) subscribe() (events chan *runtimev1.ContainerEventResponse, leave func()) {
	events = make(chan *runtimev1.ContainerEventResponse, eventQueue)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(events)
		return events, func() {}
	}
	if b.readers == nil {
		b.readers = map[chan *runtimev1.ContainerEventResponse]struct{}{}
	}
	b.readers[events] = struct{}{}
	return events, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(events)
	}
}

func (b *broadcaster) drop(events chan *runtimev1.ContainerEventResponse) {
	if _, there := b.readers[events]; there {
		delete(b.readers, events)
		close(events)
	}
}

func (b *broadcaster) anybody() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.readers) > 0
}

func (b *broadcaster) send(event *runtimev1.ContainerEventResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for events := range b.readers {
		select {
		case events <- event:
		default:
			b.drop(events)
		}
	}
}

func (b *broadcaster) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for events := range b.readers {
		b.drop(events)
	}
}

// GetContainerEvents streams what happens to containers and sandboxes from now on. The head is sent at once, so that
// a client can tell when it has missed nothing.
func (s *Server) GetContainerEvents(_ *runtimev1.GetEventsRequest, stream grpc.ServerStreamingServer[runtimev1.ContainerEventResponse]) error {
	events, leave := s.events.subscribe()
	defer leave()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case event, open := <-events:
			if !open {
				return errdefs.ErrUnavailable
			}
			if err := stream.Send(event); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// notify tells of a container.
func (s *Server) notify(kind runtimev1.ContainerEventType, c *container.Container) {
	if kind == runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT {
		s.plugins.Exited(c)
	}
	if !s.events.anybody() {
		return
	}
	event := &runtimev1.ContainerEventResponse{ContainerId: c.ID, ContainerEventType: kind, CreatedAt: time.Now().UnixNano()}
	if box, err := s.sandboxes.Get(c.SandboxID()); err == nil {
		event.PodSandboxStatus = box.Status()
	}
	for _, other := range s.containers.Of(c.SandboxID()) {
		event.ContainersStatuses = append(event.ContainersStatuses, other.Status())
	}
	if kind == runtimev1.ContainerEventType_CONTAINER_DELETED_EVENT { // forgotten by now, but whose it was is in its labels
		event.ContainersStatuses = append(event.ContainersStatuses, c.Status())
	}
	s.events.send(event)
}

// notifySandbox tells of a sandbox, whose events go under its own ID, as in containerd.
func (s *Server) notifySandbox(box *sandbox.Sandbox, kinds ...runtimev1.ContainerEventType) {
	if !s.events.anybody() {
		return
	}
	status := box.Status()
	var containers []*runtimev1.ContainerStatus
	for _, c := range s.containers.Of(box.ID) {
		containers = append(containers, c.Status())
	}
	for _, kind := range kinds {
		s.events.send(&runtimev1.ContainerEventResponse{
			ContainerId: box.ID, ContainerEventType: kind, CreatedAt: time.Now().UnixNano(),
			PodSandboxStatus: status, ContainersStatuses: containers,
		})
	}
}

// observer hears of sandboxes for the containers, and tells of the sandboxes themselves.
type observer struct {
	*container.Service
	server *Server
}

// Lost implements sandbox.Observer.
func (o observer) Lost(ctx context.Context, box *sandbox.Sandbox, last []monitor.Status) {
	o.Service.Lost(ctx, box, last)
	o.server.notifySandbox(box, runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// Stopped implements sandbox.Observer.
func (o observer) Stopped(box *sandbox.Sandbox) {
	o.server.notifySandbox(box, runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
}
