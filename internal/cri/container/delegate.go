package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/fsnotify/fsnotify"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/oci"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/cri/state"
	"github.com/mayfly-run/mayfly/internal/cri/thread"
	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// handlerOf is the handler of a sandbox's containers, empty where launch programs run them.
func (s *Service) handlerOf(box *sandbox.Sandbox) string {
	if handler := box.RuntimeHandler(); s.cfg.Handlers[handler] != nil {
		return handler
	}
	return ""
}

// runtime is the OCI runtime of a container that has one. Since it was made, the configuration may have changed.
func (s *Service) runtime(c *Container) (*oci.Runtime, error) {
	name := c.snapshot().Handler
	if found := s.cfg.Handlers[name]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("container %q: runtime handler %q is not configured any more: %w", c.ID, name, errdefs.ErrFailedPrecondition)
}

// Where a delegated container's file system and its target's PID namespace are mounted: beside volumes, to be swept with them.
func (s *Service) delegatedRoot(id string) string {
	return filepath.Join(s.dir(id), "volumes", "rootfs")
}

func (s *Service) delegatedPID(id string) string { return filepath.Join(s.dir(id), "volumes", "pid") }

// adapt makes a specification one for the OCI runtime of the container.
func (s *Service) adapt(c *Container, built *specs.Spec) error {
	runtime, err := s.runtime(c)
	if err != nil {
		return err
	}
	for _, m := range built.Mounts {
		if slices.Contains(m.Options, "rro") && !runtime.RecursiveReadOnly {
			return fmt.Errorf("mount onto %s: the runtime of handler %q knows no recursive read-only mounts: %w", m.Destination, c.record.Handler, errdefs.ErrFailedPrecondition)
		}
	}
	return oci.Adapt(built, s.delegatedRoot(c.ID))
}

// delegate has the monitor run the OCI runtime, and waits until that has a process of the container or gives up.
func (s *Service) delegate(ctx context.Context, c *Container, built *specs.Spec, group *cgroup.Group, client *monitor.Client) (monitor.Status, error) {
	runtime, err := s.runtime(c)
	if err != nil {
		return monitor.Status{}, err
	}
	if err := s.mountDelegated(c, built); err != nil {
		return monitor.Status{}, err
	}
	if runtime.LeavesCgroups {
		if err := group.Apply(built.Linux.Resources); err != nil {
			return monitor.Status{}, fmt.Errorf("limit cgroup %s: %w", group.Path(), err)
		}
	}
	bundle := s.dir(c.ID)
	program, files, err := s.hostProgram(c, runtime, runtime.Run(c.ID, bundle), c.Config().GetTty())
	if err != nil {
		return monitor.Status{}, err
	}
	defer closeAll(files)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(bundle)
	}
	if err != nil {
		return monitor.Status{}, fmt.Errorf("watch %s: %w", bundle, err)
	}
	waitCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := client.Events(waitCtx)
	request, err := s.request(c, group, program, files)
	if err != nil {
		return monitor.Status{}, err
	}
	status, err := client.Start(ctx, request)
	if err != nil {
		return status, err
	}
	for {
		if oci.PID(bundle) != 0 {
			return status, nil
		}
		select {
		case <-watcher.Events:
		case err := <-watcher.Errors:
			return status, fmt.Errorf("watch %s: %w", bundle, err)
		case event, open := <-events:
			if !open {
				return status, fmt.Errorf("wait for the OCI runtime: %w", errors.Join(ctx.Err(), errdefs.ErrUnavailable))
			}
			if event.Status.ID == c.ID && event.Status.Phase != monitor.Running && oci.PID(bundle) == 0 {
				return status, oci.Failure(bundle)
			}
		}
	}
}

// hostProgram runs an OCI runtime, in the container's cgroup where that is how the container gets there.
func (s *Service) hostProgram(c *Container, runtime *oci.Runtime, args []string, tty bool) (*launch.Program, []*os.File, error) {
	options := compile.HostOptions{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, TTY: tty}
	if runtime.LeavesCgroups {
		group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
		if err != nil {
			return nil, nil, err
		}
		options.CgroupDirs = group.Dirs()
	}
	return compile.Host(args, options)
}

// mountDelegated mounts the container's file system, and binds the PID namespace of its target, for a path in procfs may
// come to mean another process.
func (s *Service) mountDelegated(c *Container, built *specs.Spec) error {
	dir, root := s.dir(c.ID), s.delegatedRoot(c.ID)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make root of container: %w", err)
	}
	stack := layers{lower: c.snapshot().Lower, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	if err := thread.Do(func() error { return mountLayers(stack, root) }); err != nil {
		return err
	}
	if err := checkDelegated(root); err != nil {
		return err
	}
	joined, release, err := s.withTarget(c, built)
	if err != nil {
		return err
	}
	defer release()
	if joined == built {
		return nil
	}
	path := s.delegatedPID(c.ID)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("make place of PID namespace: %w", err)
	}
	for i, ns := range joined.Linux.Namespaces {
		if ns.Type != specs.PIDNamespace {
			continue
		}
		if err := unix.Mount(ns.Path, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind PID namespace of the target: %w", err)
		}
		joined.Linux.Namespaces[i].Path = path
	}
	return s.keepSpec(c.ID, joined)
}

// checkDelegated refuses images in which links stand for the kernel's own directories. Not every OCI runtime stays inside
// when it fills these: runc before 1.2 puts what belongs into /dev where such a link leads on the host.
func checkDelegated(root string) error {
	for _, name := range []string{"dev", "proc", "sys"} {
		info, err := os.Lstat(filepath.Join(root, name))
		if err == nil && info.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("the image has a link at /%s, which an OCI runtime might follow out of the container: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// delegateExec has the OCI runtime put a process into the container.
func (s *Service) delegateExec(ctx context.Context, c *Container, client *monitor.Client, process *specs.Process, streams Streams) (*monitor.Process, error) {
	runtime, err := s.runtime(c)
	if err != nil {
		return nil, err
	}
	file, err := s.processFile(c, process)
	if err != nil {
		return nil, err
	}
	program, files, err := s.hostProgram(c, runtime, runtime.Exec(c.ID, s.dir(c.ID), file, file+pidSuffix), streams.TTY)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	started, err := client.Exec(ctx, monitor.ExecRequest{
		ID: c.ID, Program: program, Files: files, TTY: streams.TTY, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	if err != nil {
		os.Remove(file)
		return nil, gone(c, err)
	}
	s.delegated.Store(started, file)
	go func() {
		<-started.Done()
		s.delegated.Delete(started)
		os.Remove(file) // or with the container
		os.Remove(file + pidSuffix)
	}()
	return started, nil
}

// pidSuffix makes the name of the file that tells the number of an exec'd process of that of what it is.
const pidSuffix = ".pid"

// Kill ends a process that Exec started. Where an OCI runtime put it into the container, it is the one in there that is
// killed: the runtime's own waits for it. That wait is also what keeps the number from meaning another process.
func (s *Service) Kill(ctx context.Context, process *monitor.Process) error {
	file, ok := s.delegated.Load(process)
	if !ok {
		return process.Signal(ctx, int(unix.SIGKILL))
	}
	pid := oci.ReadPID(file.(string) + pidSuffix)
	if pid == 0 { // not there yet
		return process.Signal(ctx, int(unix.SIGKILL))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	select {
	case <-process.Done():
		return nil
	default:
		return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// processFile writes the process to be executed where the OCI runtime reads it.
func (s *Service) processFile(c *Container, process *specs.Process) (string, error) {
	content, err := json.Marshal(process)
	if err != nil {
		return "", fmt.Errorf("encode process: %w", err)
	}
	file, err := os.CreateTemp(s.dir(c.ID), "exec-*.json")
	if err != nil {
		return "", fmt.Errorf("keep process: %w", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("keep process: %w", err)
	}
	return file.Name(), nil
}

// firstProcess is the container's own: the monitor knows the OCI runtime that waits for it. mu is held.
func (s *Service) firstProcess(id string, record *state.Container, status monitor.Status) int {
	if record.Handler == "" {
		return status.PID
	}
	return oci.PID(s.dir(id))
}

// releaseDelegated makes the OCI runtime forget a container that has ended, and unmounts its file system.
func (s *Service) releaseDelegated(ctx context.Context, c *Container) error {
	if c.snapshot().Handler == "" {
		return nil
	}
	// Without the runtime, its containers are dead by their cgroup all the same; what it remembers of them stays.
	if runtime := s.cfg.Handlers[c.snapshot().Handler]; runtime != nil {
		if err := runtime.Delete(ctx, c.ID, c.snapshot().Cgroup); err != nil {
			return err
		}
	}
	return errors.Join(unmount(s.delegatedRoot(c.ID)), unmount(s.delegatedPID(c.ID)))
}
