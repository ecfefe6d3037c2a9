package container

import (
	"maps"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/state"
)

// Exit reasons of the CRI's clients.
const (
	reasonCompleted  = "Completed"
	reasonError      = "Error"
	reasonOOM        = "OOMKilled"
	reasonStartError = "StartError"
	reasonLost       = "Lost"

	// codeStartError is the exit code of a container whose process never ran.
	codeStartError = 128
	// codeUnknown is the exit code of a container whose end nobody saw.
	codeUnknown = 255
)

// Container is one container.
type Container struct {
	ID string

	// life makes starting, exiting and removing take turns. It is never held while waiting for an exit.
	life sync.Mutex
	// exited is closed once the end is recorded.
	exited chan struct{}
	// group is the making of the cgroup; nil after a restart of the runtime.
	group *making

	mu      sync.Mutex // guards all below
	record  state.Container
	spec    *specs.Spec // nil until needed, after a restart
	running bool
	pid     int
	usage   usage
	removed bool
}

func newContainer(id string, record state.Container) *Container {
	c := &Container{ID: id, record: record, exited: make(chan struct{})}
	if record.FinishedAt != 0 {
		close(c.exited)
	}
	return c
}

// SandboxID is the sandbox that it belongs to.
func (c *Container) SandboxID() string { return c.snapshot().SandboxID }

// Config is what the client asked for. It is not to be changed.
func (c *Container) Config() *runtimev1.ContainerConfig { return c.snapshot().Config.Message }

// Running tells whether its process runs.
func (c *Container) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// PID is the first process on the host, 0 unless it runs.
func (c *Container) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// Exited is closed when the container has ended.
func (c *Container) Exited() <-chan struct{} { return c.exited }

func (c *Container) snapshot() state.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

// State is the CRI's.
func (c *Container) State() runtimev1.ContainerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stateLocked()
}

func (c *Container) stateLocked() runtimev1.ContainerState {
	switch {
	case c.record.FinishedAt != 0:
		return runtimev1.ContainerState_CONTAINER_EXITED
	case c.running:
		return runtimev1.ContainerState_CONTAINER_RUNNING
	}
	return runtimev1.ContainerState_CONTAINER_CREATED
}

// List returns the short form.
func (c *Container) List() *runtimev1.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	config := c.record.Config.Message
	return &runtimev1.Container{
		Id: c.ID, PodSandboxId: c.record.SandboxID, Metadata: config.GetMetadata(), Image: config.GetImage(),
		ImageRef: c.record.ImageRef, ImageId: c.record.ImageID, State: c.stateLocked(), CreatedAt: c.record.CreatedAt,
		Labels: maps.Clone(config.GetLabels()), Annotations: maps.Clone(config.GetAnnotations()),
	}
}

// Status returns the long form.
func (c *Container) Status() *runtimev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, config := &c.record, c.record.Config.Message
	status := &runtimev1.ContainerStatus{
		Id: c.ID, Metadata: config.GetMetadata(), State: c.stateLocked(), CreatedAt: r.CreatedAt,
		Image: config.GetImage(), ImageRef: r.ImageRef, ImageId: r.ImageID,
		Labels: maps.Clone(config.GetLabels()), Annotations: maps.Clone(config.GetAnnotations()),
		Mounts: config.GetMounts(), LogPath: r.LogPath,
		Resources:  &runtimev1.ContainerResources{Linux: config.GetLinux().GetResources()},
		User:       &runtimev1.ContainerUser{Linux: r.User.Message},
		StopSignal: stopSignalEnum(r.StopSignal),
	}
	if status.State != runtimev1.ContainerState_CONTAINER_CREATED {
		status.StartedAt = r.StartedAt
	}
	if status.State == runtimev1.ContainerState_CONTAINER_EXITED {
		status.FinishedAt, status.ExitCode, status.Reason, status.Message = r.FinishedAt, r.ExitCode, r.Reason, r.Message
	}
	return status
}
