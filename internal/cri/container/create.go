package container

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/cdi"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/log"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/cri/spec"
	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
)

// Create makes a container, ready to be started. After an error nothing is left of it.
func (s *Service) Create(ctx context.Context, id string, box *sandbox.Sandbox, config *runtimev1.ContainerConfig) (_ *Container, err error) {
	if config.GetMetadata() == nil {
		return nil, fmt.Errorf("container has no metadata: %w", errdefs.ErrInvalidArgument)
	}
	if !box.Ready() {
		return nil, fmt.Errorf("sandbox %q is not ready: %w", box.ID, errdefs.ErrFailedPrecondition)
	}
	c := newContainer(id, state.Container{
		SandboxID: box.ID, Config: state.Proto[*runtimev1.ContainerConfig]{Message: proto.Clone(config).(*runtimev1.ContainerConfig)},
		CreatedAt: time.Now().UnixNano(), Cgroup: box.CgroupParent() + "/" + id, Handler: s.handlerOf(box),
	})
	if err := s.reserve(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.cfg.Plugins.UndoContainer(ctx, c)
			err = errors.Join(err, s.removeCgroup(context.WithoutCancel(ctx), c), s.clear(c))
			s.unreserve(c)
		}
	}()
	group, err := s.cfg.Cgroups.Group(c.record.Cgroup)
	if err != nil {
		return nil, err
	}
	// First of all, for by its directory the next runtime finds what this one leaves half-made.
	if err := os.Mkdir(s.dir(id), 0o755); err != nil {
		return nil, fmt.Errorf("make container directory: %w", err)
	}
	c.group = begin(group)
	if err := s.prepare(ctx, c, box); err != nil {
		return nil, err
	}
	if err := s.store.Save(id, &c.record); err != nil {
		return nil, err
	}
	s.publish(c)
	s.cfg.Notify(runtimev1.ContainerEventType_CONTAINER_CREATED_EVENT, c)
	return c, nil
}

// prepare makes everything but the record.
func (s *Service) prepare(ctx context.Context, c *Container, box *sandbox.Sandbox) error {
	config := c.record.Config.Message
	img, err := s.cfg.Images.Rootfs(ctx, imageOf(config.GetImage()), c.ID)
	if err != nil {
		return fmt.Errorf("image of container %q: %w", config.GetMetadata().GetName(), err)
	}
	c.record.ImageID, c.record.ImageRef, c.record.Lower = img.ID, reference(img), img.Lower
	if c.record.LogPath, err = log.Path(box.Config().GetLogDirectory(), config.GetLogPath()); err != nil {
		return err
	}
	if c.record.StopSignal, err = stopSignal(config.GetStopSignal(), img.Config.StopSignal); err != nil {
		return err
	}
	dir := s.dir(c.ID)
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("make container directory: %w", err)
		}
	}
	volumes, err := s.mountVolumes(ctx, c)
	if err != nil {
		return err
	}
	return s.specify(ctx, c, box, img, volumes)
}

// specify builds the specification and keeps it.
func (s *Service) specify(ctx context.Context, c *Container, box *sandbox.Sandbox, img image.Image, volumes map[int]string) error {
	accounts, err := s.accounts.of(img)
	if err != nil {
		return err
	}
	hostname, err := sandbox.Hostname(box.Config())
	if err != nil {
		return err
	}
	namespaces, err := s.namespaces(box, c.record.Config.Message)
	if err != nil {
		return err
	}
	users, err := sandbox.UsersOf(box.Config())
	if err != nil {
		return err
	}
	if users == nil {
		users = &sandbox.Users{}
	}
	files := s.cfg.Sandboxes.Files(box)
	built, user, err := spec.Container(spec.Input{
		ID: c.ID, SandboxID: box.ID, Container: c.record.Config.Message, Sandbox: box.Config(), Image: img.Config, Accounts: accounts,
		Namespaces: namespaces, UIDs: users.UIDs, GIDs: users.GIDs, Cgroup: c.record.Cgroup, ImageVolumes: volumes, Hostname: hostname,
		Files:           spec.Files{ResolvConf: files.ResolvConf, Hostname: files.Hostname, Hosts: files.Hosts, Shm: files.Shm},
		CgroupNamespace: s.cfg.Cgroups.Unified(), AppArmorProfiles: appArmorProfiles(), AppArmorDefault: s.cfg.AppArmor, SELinux: exists(selinuxFile),
	})
	if err != nil {
		return err
	}
	built.Root.Path = s.rootfs()
	devices, err := cdi.Asked(c.record.Config.Message)
	if err != nil {
		return err
	}
	if err := cdi.Inject(built, s.cfg.CDIDirs, devices); err != nil {
		return err
	}
	limits, err := s.cfg.Plugins.CreateContainer(ctx, box, c, built)
	if err != nil {
		return err
	}
	if limits != nil {
		built.Linux.Resources = limit(c.record.Config.Message, built.Linux.Resources, limits)
	}
	if err := s.moveCgroup(ctx, c, built.Linux.CgroupsPath); err != nil {
		return err
	}
	if err := s.fit(c, built); err != nil {
		return err
	}
	c.spec, c.record.User.Message = built, user
	return s.keepSpec(c.ID, built)
}

// fit makes a specification one for who is to run it, or says what that cannot do.
func (s *Service) fit(c *Container, built *specs.Spec) error {
	if c.record.Handler != "" {
		return s.adapt(c, built)
	}
	if err := compile.Check(built); err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	return nil
}

// keepSpec writes the specification for a later life of the runtime, and for people.
func (s *Service) keepSpec(id string, built *specs.Spec) error {
	content, err := json.Marshal(built)
	if err == nil { // torn by a crash, it belongs to no container: the record follows it
		err = os.WriteFile(filepath.Join(s.dir(id), "config.json"), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep specification: %w", err)
	}
	return nil
}

// namespaces maps the client's modes to paths. The PID namespace of a target is found when the container starts.
func (s *Service) namespaces(box *sandbox.Sandbox, config *runtimev1.ContainerConfig) (spec.Namespaces, error) {
	paths := s.cfg.Sandboxes.Namespaces(box)
	out := spec.Namespaces{Network: paths.Network, IPC: paths.IPC, UTS: paths.UTS, User: paths.User}
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	switch options.GetPid() {
	case runtimev1.NamespaceMode_POD:
		out.PID = paths.PID // empty, so a new one, where neither sandbox nor container says anything
	case runtimev1.NamespaceMode_NODE:
		out.HostPID = true
	case runtimev1.NamespaceMode_TARGET:
		target, err := s.Get(options.GetTargetId())
		if err != nil {
			return out, fmt.Errorf("target of PID namespace: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		if target.SandboxID() != box.ID {
			return out, fmt.Errorf("target %q of PID namespace is in another sandbox: %w", target.ID, errdefs.ErrInvalidArgument)
		}
	}
	return out, nil
}

// Spec returns a container's OCI specification. It is not to be changed.
func (s *Service) Spec(c *Container) (*specs.Spec, error) { return s.loadSpec(c) }

// loadSpec returns the specification, from disk after a restart.
func (s *Service) loadSpec(c *Container) (*specs.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spec != nil {
		return c.spec, nil
	}
	path := filepath.Join(s.dir(c.ID), "config.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read specification: %w", err)
	}
	loaded := &specs.Spec{}
	if err := json.Unmarshal(content, loaded); err != nil {
		return nil, fmt.Errorf("decode specification %s: %w", path, err)
	}
	c.spec = loaded
	return loaded, nil
}

// imageOf is the image itself where it is known; its name may mean another by now.
func imageOf(image *runtimev1.ImageSpec) string {
	return cmp.Or(image.GetImageRef(), image.GetImage())
}

// reference is the digest under which the image was pulled, its ID where it was imported.
func reference(img image.Image) string {
	if len(img.RepoDigests) > 0 {
		return img.RepoDigests[0]
	}
	return img.ID
}
