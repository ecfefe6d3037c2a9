package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/cri/mountns"
	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// cleanupTimeout bounds the clean-up after a failure, which goes on when the client has given up.
const cleanupTimeout = 10 * time.Second

func clone[M proto.Message](m M) M { return proto.Clone(m).(M) }

// Run makes a sandbox, ready for containers. After an error nothing is left of it.
func (s *Service) Run(ctx context.Context, id, handler string, config *runtimev1.PodSandboxConfig) (*Sandbox, error) {
	if config.GetMetadata() == nil {
		return nil, fmt.Errorf("sandbox has no metadata: %w", errdefs.ErrInvalidArgument)
	}
	if err := s.check(config); err != nil {
		return nil, err
	}
	parent, own, err := s.place(id, config.GetLinux().GetCgroupParent())
	if err != nil {
		return nil, err
	}
	sandbox := &Sandbox{ID: id, record: state.Sandbox{
		Config: state.Proto[*runtimev1.PodSandboxConfig]{Message: clone(config)}, RuntimeHandler: handler,
		Phase: state.Starting, CreatedAt: time.Now().UnixNano(), CgroupParent: parent, OwnCgroup: own,
	}}
	sandbox.life.Lock()
	defer sandbox.life.Unlock()
	if err := s.reserve(sandbox, config); err != nil {
		return nil, err
	}
	if err := s.make(ctx, sandbox); err != nil {
		return nil, errors.Join(err, s.undo(ctx, sandbox))
	}
	s.publish(sandbox)
	return sandbox, nil
}

// make does the work of Run: the record first, so that a crash leaves nothing that nobody knows of.
func (s *Service) make(ctx context.Context, sandbox *Sandbox) error {
	if err := s.store.Save(sandbox.ID, &sandbox.record); err != nil {
		return err
	}
	if err := s.build(ctx, sandbox); err != nil {
		return err
	}
	if err := s.cfg.Plugins.RunPodSandbox(ctx, sandbox); err != nil {
		return err
	}
	sandbox.mu.Lock()
	defer sandbox.mu.Unlock()
	if sandbox.client == nil || sandbox.record.Phase != state.Starting {
		return errDied
	}
	sandbox.record.Phase = state.Ready
	return s.store.Save(sandbox.ID, &sandbox.record)
}

// undo takes down what was made. What cannot be shows as a sandbox that is not ready, for its client to remove.
func (s *Service) undo(ctx context.Context, sandbox *Sandbox) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s.cfg.Plugins.UndoPodSandbox(ctx, sandbox)
	err := errors.Join(s.dismantle(ctx, sandbox), s.discard(ctx, sandbox))
	if err != nil {
		s.publish(sandbox)
	}
	return err
}

// check refuses what this runtime cannot do, before anything is made.
func (s *Service) check(config *runtimev1.PodSandboxConfig) error {
	want := wanted(config, "")
	if _, err := UsersOf(config); err != nil {
		return err
	}
	return CheckSysctls(config.GetLinux().GetSysctls(), want.Network, want.IPC)
}

// build makes all that a sandbox consists of. The monitor starts while the network is set up: neither needs the other.
func (s *Service) build(ctx context.Context, sandbox *Sandbox) error {
	config := sandbox.record.Config.Message
	hostname, err := Hostname(config)
	if err != nil {
		return err
	}
	want := wanted(config, hostname)
	spawned := make(chan error, 1)
	go func() { spawned <- s.spawn(ctx, sandbox) }()
	err = s.furnish(ctx, sandbox, want)
	if err = errors.Join(<-spawned, err); err != nil {
		return err
	}
	if want.PID {
		if err := s.startPause(ctx, sandbox); err != nil {
			return err
		}
	}
	return nil
}

// errDied is the end of a sandbox that had not come to life.
var errDied = fmt.Errorf("the pod's monitor, or the process that holds its PID namespace, died: %w", errdefs.ErrUnavailable)

// furnish makes everything but processes.
func (s *Service) furnish(ctx context.Context, sandbox *Sandbox, want Wanted) error {
	if err := s.makeCgroup(sandbox); err != nil {
		return err
	}
	if _, err := MakeFiles(s.dir(sandbox.ID), want.Hostname, sandbox.record.Config.Message.GetDnsConfig()); err != nil {
		return err
	}
	if want.IPC {
		if err := s.namespaces.MakeShm(sandbox.ID, want.Users); err != nil {
			return err
		}
	}
	paths, err := s.namespaces.Make(sandbox.ID, want)
	if err != nil {
		return err
	}
	if dir := sandbox.record.Config.Message.GetLogDirectory(); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make log directory: %w", err)
		}
	}
	if !want.Network {
		return nil
	}
	return s.connect(ctx, sandbox, paths.Network)
}

// connect sets the network up. That it began is kept before, so that a crash in between is cleaned up.
func (s *Service) connect(ctx context.Context, sandbox *Sandbox, netns string) error {
	sandbox.mu.Lock()
	sandbox.record.Networked = true
	err := s.store.Save(sandbox.ID, &sandbox.record)
	sandbox.mu.Unlock()
	if err != nil {
		return err
	}
	ips, err := s.cfg.Network.Setup(ctx, sandbox.ID, netns, sandbox.record.Config.Message)
	if err != nil {
		return fmt.Errorf("set up network of sandbox %s: %w", sandbox.ID, err)
	}
	sandbox.mu.Lock()
	defer sandbox.mu.Unlock()
	sandbox.record.IPs = ips
	return nil
}

// spawn takes the spare monitor, or starts one, and listens to it.
func (s *Service) spawn(ctx context.Context, sandbox *Sandbox) error {
	client := s.spares.take(ctx, s.monitorDir(sandbox.ID))
	if client == nil {
		var err error
		if client, err = s.startMonitor(ctx, s.monitorDir(sandbox.ID)); err != nil {
			return err
		}
	}
	s.spares.prepare()
	sandbox.mu.Lock()
	sandbox.client = client
	sandbox.mu.Unlock()
	s.watch(sandbox, client, client.Events(s.ctx))
	return s.enclose(ctx, sandbox, client.PID())
}

// startPause starts the process that holds the Pod's PID namespace and reaps its orphans.
func (s *Service) startPause(ctx context.Context, sandbox *Sandbox) error {
	paths := s.namespaces.PathsOf(sandbox.ID, wanted(sandbox.record.Config.Message, ""))
	list := []specs.LinuxNamespace{{Type: specs.PIDNamespace}}
	for _, ns := range []struct {
		kind specs.LinuxNamespaceType
		path string
	}{{specs.NetworkNamespace, paths.Network}, {specs.IPCNamespace, paths.IPC}, {specs.UTSNamespace, paths.UTS}} {
		if ns.path != "" {
			list = append(list, specs.LinuxNamespace{Type: ns.kind, Path: ns.path})
		}
	}
	group, err := s.monitorGroup(sandbox)
	if err != nil {
		return err
	}
	program, files, err := compile.Pause(compile.PauseOptions{Namespaces: list, CgroupDirs: group.Dirs(), Root: s.dir(sandbox.ID), Mounts: mountns.Path(s.cfg.Mounts)})
	if err != nil {
		return fmt.Errorf("compile pause process: %w", err)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	client := sandbox.Monitor()
	if client == nil {
		return errDied
	}
	status, err := client.Start(ctx, monitor.StartRequest{ID: PauseID, Program: program, Files: files})
	if err != nil {
		return fmt.Errorf("start pause process: %w", err)
	}
	if err := s.namespaces.KeepPID(sandbox.ID, status.PID); err != nil {
		return err
	}
	sandbox.mu.Lock()
	defer sandbox.mu.Unlock()
	sandbox.record.SharedPID = true
	return nil
}

// Hostname is the sandbox's, the host's where none is given.
func Hostname(config *runtimev1.PodSandboxConfig) (string, error) {
	if name := config.GetHostname(); name != "" {
		return name, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("ask hostname: %w", err)
	}
	return name, nil
}
