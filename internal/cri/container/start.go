package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/log"
	"github.com/mayfly-run/mayfly/internal/cri/mountns"
	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
	"github.com/mayfly-run/mayfly/internal/launch/compile"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Start runs a created container. A launch that fails ends the container with reason StartError.
func (s *Service) Start(ctx context.Context, c *Container) error {
	c.life.Lock()
	defer c.life.Unlock()
	if state := c.State(); state != runtimev1.ContainerState_CONTAINER_CREATED || c.snapshot().Started {
		return fmt.Errorf("container %q is in %s state: %w", c.ID, state, errdefs.ErrFailedPrecondition)
	}
	box, err := s.cfg.Sandboxes.Get(c.SandboxID())
	if err != nil {
		return err
	}
	client := box.Monitor()
	if client == nil || !box.Ready() {
		return fmt.Errorf("sandbox %q is not ready: %w", box.ID, errdefs.ErrFailedPrecondition)
	}
	if err := s.cfg.Plugins.StartContainer(ctx, c); err != nil {
		return s.failStart(c, err)
	}
	if err := s.markStarted(c); err != nil {
		return err
	}
	// From here on the container has had its one start. A client that gives up does not stop it half-way.
	launchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
	defer cancel()
	status, err := s.launch(launchCtx, c, client)
	if err != nil {
		return s.failStart(c, err)
	}
	c.mu.Lock()
	c.running, c.pid = true, s.firstProcess(c.ID, &c.record, status)
	if !status.StartedAt.IsZero() {
		c.record.StartedAt = status.StartedAt.UnixNano()
	}
	c.mu.Unlock()
	s.cfg.Notify(runtimev1.ContainerEventType_CONTAINER_STARTED_EVENT, c)
	return nil
}

// failStart ends a container that could not be started. life is held.
func (s *Service) failStart(c *Container, err error) error {
	s.finish(c, monitor.Status{FinishedAt: time.Now(), ExitCode: codeStartError}, reasonStartError, err.Error())
	return fmt.Errorf("start container %q: %w", c.ID, err)
}

// launchTimeout bounds a start whose kernel or disk has stopped answering.
const launchTimeout = time.Minute

func (s *Service) markStarted(c *Container) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record.Started, c.record.StartedAt = true, time.Now().UnixNano()
	if err := s.store.Save(c.ID, &c.record); err != nil {
		c.record.Started, c.record.StartedAt = false, 0
		return err
	}
	return nil
}

// launch makes the cgroup, compiles the program and has the monitor run it.
func (s *Service) launch(ctx context.Context, c *Container, client *monitor.Client) (monitor.Status, error) {
	built, err := s.loadSpec(c)
	if err != nil {
		return monitor.Status{}, err
	}
	record := c.snapshot()
	group, err := s.cgroup(c)
	if err != nil {
		return monitor.Status{}, err
	}
	if record.Handler != "" {
		return s.delegate(ctx, c, built, group, client)
	}
	traced, launched, err := s.beforeLaunch(c, built)
	if err != nil {
		return monitor.Status{}, err
	}
	defer launched()
	limited := make(chan error, 1)
	go func() { limited <- group.Apply(built.Linux.Resources) }()
	program, files, err := s.compile(c, built, group, traced)
	defer closeAll(files)
	if limitErr := <-limited; limitErr != nil {
		err = errors.Join(fmt.Errorf("limit cgroup %s: %w", record.Cgroup, limitErr), err)
	}
	if err != nil {
		return monitor.Status{}, err
	}
	request, err := s.request(c, group, program, files)
	if err != nil {
		return monitor.Status{}, err
	}
	status, err := client.Start(ctx, request)
	return status, explain(err, built.Process.Args)
}

func (s *Service) request(c *Container, group *cgroup.Group, program *launch.Program, files []*os.File) (monitor.StartRequest, error) {
	record := c.snapshot()
	config := record.Config.Message
	box, err := s.cfg.Sandboxes.Get(record.SandboxID)
	if err != nil {
		return monitor.StartRequest{}, err
	}
	logPath, err := log.Real(box.Config().GetLogDirectory(), record.LogPath)
	return monitor.StartRequest{
		ID: c.ID, Program: program, Files: files, LogPath: logPath,
		TTY: config.GetTty(), Stdin: config.GetStdin(), StdinOnce: config.GetStdinOnce(),
		KillDir: group.KillDir(), OOMFile: group.OOMFile(),
	}, err
}

// compile makes the launch program. The files that it is sent with are the caller's to close, also after an error.
func (s *Service) compile(c *Container, built *specs.Spec, group *cgroup.Group, traced bool) (*launch.Program, []*os.File, error) {
	built, release, err := s.withTarget(c, built)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	dir := s.dir(c.ID)
	return compile.Container(built, compile.Options{
		Overlay: &compile.Overlay{
			Lower: append(slices.Clone(c.snapshot().Lower), s.scaffold()), Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Volatile: true,
		},
		CgroupDirs: group.Dirs(), Filters: &s.filters, Traced: traced, Mounts: mountns.Path(s.cfg.Mounts),
	})
}

// withTarget puts the target's PID namespace into a copy of the specification. It is opened first and the target
// looked at afterwards, so that a process number that was used again cannot be taken for the target.
func (s *Service) withTarget(c *Container, built *specs.Spec) (*specs.Spec, func(), error) {
	options := c.Config().GetLinux().GetSecurityContext().GetNamespaceOptions()
	if options.GetPid() != runtimev1.NamespaceMode_TARGET {
		return built, func() {}, nil
	}
	target, err := s.Get(options.GetTargetId())
	if err != nil {
		return nil, nil, fmt.Errorf("target of PID namespace: %w", err)
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", target.PID()))
	if err != nil || !target.Running() {
		if file != nil {
			file.Close()
		}
		return nil, nil, fmt.Errorf("target container %q is not running: %w", target.ID, errdefs.ErrFailedPrecondition)
	}
	copied, linux := *built, *built.Linux
	linux.Namespaces = slices.Clone(linux.Namespaces)
	for i := range linux.Namespaces {
		if linux.Namespaces[i].Type == specs.PIDNamespace {
			linux.Namespaces[i].Path = fmt.Sprintf("/proc/self/fd/%d", file.Fd())
		}
	}
	copied.Linux = &linux
	return &copied, func() { file.Close() }, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// explain puts a failed execve into the words that people and clients know.
func explain(err error, args []string) error {
	var failed *monitor.StartError
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.Call, "execve") || len(args) == 0 {
		return err
	}
	switch {
	case errors.Is(failed.Err, unix.ENOENT) && !strings.Contains(args[0], "/"):
		return &commandError{text: fmt.Sprintf("exec: %q: executable file not found in $PATH", args[0]), code: codeNotFound, err: err}
	case errors.Is(failed.Err, unix.ENOENT):
		return &commandError{text: fmt.Sprintf("exec: %q: stat %s: no such file or directory", args[0], args[0]), code: codeNotFound, err: err}
	case errors.Is(failed.Err, unix.EACCES), errors.Is(failed.Err, unix.ENOEXEC):
		return &commandError{text: fmt.Sprintf("exec: %q: %v", args[0], failed.Err), code: codeNotExecutable, err: err}
	}
	return err
}

// Exit codes by which shells tell what happened to a command that did not run.
const (
	codeNotFound      = 127
	codeNotExecutable = 126
)

// commandError is a program that could not be executed.
type commandError struct {
	text string
	code int
	err  error
}

func (e *commandError) Error() string { return e.text }
func (e *commandError) Unwrap() error { return e.err }
