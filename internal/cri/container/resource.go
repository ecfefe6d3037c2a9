package container

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/spec"
)

// UpdateResources changes the limits of a container that has not ended; fields that are zero stay as they are. The
// cgroup comes first: what the kernel refuses is not remembered.
func (s *Service) UpdateResources(c *Container, change *runtimev1.LinuxContainerResources) error {
	c.life.Lock()
	defer c.life.Unlock()
	if c.State() == runtimev1.ContainerState_CONTAINER_EXITED {
		return fmt.Errorf("update container %q: it has ended: %w", c.ID, errdefs.ErrFailedPrecondition)
	}
	built, err := s.loadSpec(c)
	if err != nil {
		return err
	}
	record := c.snapshot()
	config := proto.Clone(record.Config.Message).(*runtimev1.ContainerConfig)
	limits := limit(config, built.Linux.Resources, change)
	if c.Running() {
		group, err := s.cfg.Cgroups.Group(record.Cgroup)
		if err == nil {
			err = group.Apply(spec.Resources(config.Linux.Resources))
		}
		if err != nil {
			return fmt.Errorf("update container %q: %w", c.ID, err)
		}
	}
	c.mu.Lock()
	changed := *c.spec
	linux := *changed.Linux
	linux.Resources = limits
	changed.Linux = &linux
	c.spec = &changed
	c.record.Config.Message = config
	c.mu.Unlock()
	if err := s.keepSpec(c.ID, &changed); err != nil {
		return err
	}
	return s.save(c)
}

// limit puts a change into what was asked for, and returns what the specification says of resources then.
func limit(config *runtimev1.ContainerConfig, old *specs.LinuxResources, change *runtimev1.LinuxContainerResources) *specs.LinuxResources {
	if config.Linux == nil {
		config.Linux = &runtimev1.LinuxContainerConfig{}
	}
	if config.Linux.Resources == nil {
		config.Linux.Resources = &runtimev1.LinuxContainerResources{}
	}
	merge(config.Linux.Resources, change)
	limits := spec.Resources(config.Linux.Resources)
	limits.Devices = old.Devices
	return limits
}

// merge sets the fields that are set in change; maps and lists are replaced whole.
func merge(into, change *runtimev1.LinuxContainerResources) {
	target := into.ProtoReflect()
	change.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target.Set(field, value)
		return true
	})
}
