package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/image"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/security"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// Reasons why a container waits, and of the events about it.
const (
	reasonConfig = "CreateContainerConfigError"
	reasonCreate = "CreateContainerError"
	reasonRun    = "RunContainerError"
	reasonHook   = "PostStartHookError"
)

// failure is why a container could not be started.
type failure struct {
	reason, message string
	// started says that the container ran, or tried to: it is the runtime's to tell when it ended.
	started bool
}

// launch is everything that starting one container needs, read once from the Worker.
type launch struct {
	start
	pod     *corev1.Pod
	sandbox string
	config  *runtimev1.PodSandboxConfig
	rt      *runtime.Pod
	told    *later
	pause   time.Duration // before the next restart
}

// users is the Pod's user namespace, nil for the host's.
func (l *launch) users() *runtimev1.UserNamespace {
	return l.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions()
}

// startContainer starts the task that starts a container, unless it failed just now; it returns when to look again.
// Called with mu held.
func (w *Worker) startContainer(ctx context.Context, s start) time.Duration {
	name := s.container.Name
	if w.isBusy(name) {
		return refreshPeriod
	}
	if left := w.pausedFor(name); left > 0 {
		return left
	}
	if s.ephemeral != nil && s.stale == nil && w.awaitsTarget(s.ephemeral) {
		return refreshPeriod
	}
	sandbox := w.rt.Sandbox()
	l := launch{start: s, pod: w.spec, sandbox: sandbox.GetId(), rt: w.rt, told: &later{}}
	if l.rt.Latest(name).Exited() {
		l.pause = w.crash.Next(Hash(s.container), time.Now())
	}
	w.spawnKnown(ctx, name, func(ctx context.Context) bool {
		config, err := w.sandboxConfig(l.pod, sandbox.GetMetadata().GetAttempt())
		if err != nil {
			w.settle(ctx, l, &failure{reason: reasonConfig, message: err.Error()})
			return false
		}
		l.config = config
		f := w.launch(ctx, l)
		w.settle(ctx, l, f)
		l.told.flushSoon(f != nil)
		return f == nil && ctx.Err() == nil
	})
	return refreshPeriod
}

// settle notes how a launch went.
func (w *Worker) settle(ctx context.Context, l launch, f *failure) {
	if ctx.Err() != nil {
		return // the node stops, or the Pod ends: nothing is known, and the next look tells
	}
	name := l.container.Name
	w.mu.Lock()
	defer w.mu.Unlock()
	if f == nil {
		delete(w.waiting, name)
		delete(w.after, name)
		w.retry.Forget(name)
		return
	}
	w.waiting[name] = status.Waiting{Reason: f.reason, Message: f.message}
	switch {
	case f.reason == image.ReasonPull:
		w.after[name] = time.Now().Add(pullNoticed)
	case f.reason == image.ReasonBackOff:
		w.after[name] = time.Now().Add(w.Images.RetryIn(l.pod, l.container.Image))
	case !f.started:
		w.pause(name)
	}
}

// launch starts one container. It runs in a task of its own and holds no lock while it talks to the runtime.
func (w *Worker) launch(ctx context.Context, l launch) *failure {
	if l.stale != nil && l.ephemeral == nil {
		w.removeContainer(ctx, l.stale)
	}
	var id string
	if l.stale != nil && l.ephemeral != nil {
		id = l.stale.GetId()
	} else {
		created, f := w.create(ctx, l)
		if f != nil {
			return f
		}
		id = created
	}
	name := l.container.Name
	w.hide(l, id)
	if _, err := w.Runtime.StartContainer(ctx, &runtimev1.StartContainerRequest{ContainerId: id}); err != nil {
		if f := w.withoutTarget(ctx, l, id); f != nil {
			return f
		}
		reason := runtime.Reason(err)
		w.tell(l, corev1.EventTypeWarning, "Failed", "Error: %s", reason)
		return &failure{reason: reasonRun, message: reason, started: true}
	}
	w.running(ctx, name, id, l.sandbox)
	w.tell(l, corev1.EventTypeNormal, "Started", "Container started")
	if l.container.Lifecycle != nil {
		l.told.flush()
	}
	return w.postStart(ctx, l, id)
}

// running tells the Worker at once that the container runs, before the hooks and the runtime's own event.
func (w *Worker) running(ctx context.Context, name, id, sandbox string) {
	answer, err := w.Runtime.ContainerStatus(ctx, &runtimev1.ContainerStatusRequest{ContainerId: id})
	w.mu.Lock()
	delete(w.waiting, name)
	delete(w.hidden, id)
	if err != nil {
		w.look = true
	} else {
		w.see(w.rt.With(&runtime.Container{ContainerStatus: answer.GetStatus(), SandboxID: sandbox}))
	}
	w.mu.Unlock()
	w.Wake()
}

func (w *Worker) create(ctx context.Context, l launch) (id string, f *failure) {
	img, err := w.ensureImage(ctx, l)
	if err != nil {
		return "", w.imageFailure(l, err)
	}
	config, err := w.containerConfig(ctx, l, img)
	if err != nil {
		w.tell(l, corev1.EventTypeWarning, "Failed", "Error: %s", err)
		return "", &failure{reason: reasonConfig, message: err.Error()}
	}
	if err := os.MkdirAll(filepath.Join(l.config.GetLogDirectory(), filepath.Dir(config.GetLogPath())), 0o755); err != nil {
		return "", &failure{reason: reasonCreate, message: fmt.Sprintf("make log directory: %v", err)}
	}
	if err := w.fit(ctx, l.pod); err != nil {
		return "", &failure{reason: reasonCreate, message: err.Error()}
	}
	answer, err := w.Runtime.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: l.sandbox, Config: config, SandboxConfig: l.config})
	if err != nil {
		reason := runtime.Reason(err)
		w.tell(l, corev1.EventTypeWarning, "Failed", "Error: %s", reason)
		return "", &failure{reason: reasonCreate, message: reason}
	}
	w.tell(l, corev1.EventTypeNormal, "Created", "Container created")
	return answer.GetContainerId(), nil
}

func (w *Worker) ensureImage(ctx context.Context, l launch) (*runtimev1.Image, error) {
	handler, err := w.handler(ctx, l.pod)
	if err != nil {
		return nil, err
	}
	img, err := w.Images.Ensure(ctx, image.Request{
		Pod: l.pod, Image: l.container.Image, Policy: l.container.ImagePullPolicy, Handler: handler, Sandbox: l.config,
		Auth: func(ctx context.Context, name string) ([]*runtimev1.AuthConfig, error) {
			return w.auth(ctx, l.pod, name)
		},
		Event: func(kind, reason, format string, args ...any) {
			w.tell(l, kind, reason, format, args...)
		},
	})
	if err != nil {
		return nil, err
	}
	var uid *int64
	if img.GetUid() != nil {
		value := img.GetUid().GetValue()
		uid = &value
	}
	if err := security.VerifyNonRoot(l.pod, l.container, uid, img.GetUsername()); err != nil {
		return nil, &image.Failure{Reason: reasonConfig, Message: err.Error()}
	}
	return img, nil
}

func (w *Worker) imageFailure(l launch, err error) *failure {
	f := &failure{reason: image.ReasonInspect, message: err.Error()}
	var why *image.Failure
	if errors.As(err, &why) {
		f.reason, f.message = why.Reason, why.Message
	}
	told := f.reason
	if f.reason == reasonConfig {
		told = f.message
	}
	w.tell(l, corev1.EventTypeWarning, "Failed", "Error: %s", told)
	return f
}

// auth collects the credentials of the Pod's imagePullSecrets. A secret that is missing is told, not fatal.
func (w *Worker) auth(ctx context.Context, pod *corev1.Pod, name string) ([]*runtimev1.AuthConfig, error) {
	var ring image.Keyring
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := w.Objects.Secret(ctx, pod.Namespace, ref.Name)
		if err == nil {
			err = ring.AddSecret(secret)
		}
		if err != nil {
			w.Recorder.Eventf(pod, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", ref.Name)
		}
	}
	return ring.Lookup(name), nil
}

// tell records an event about the container that is started: at once if it is a problem or takes time, else later.
func (w *Worker) tell(l launch, kind, reason, format string, args ...any) {
	record := func() { w.event(l.pod, l.container.Name, kind, reason, format, args...) }
	switch reason {
	case "Pulled", "Created", "Started":
		l.told.add(record)
	default:
		l.told.flush()
		record()
	}
}

func (w *Worker) event(pod *corev1.Pod, container, kind, reason, format string, args ...any) {
	w.Recorder.Eventf(Reference(pod, container), kind, reason, format, args...)
}

// removeContainer removes a container that does not run, and its logs.
func (w *Worker) removeContainer(ctx context.Context, c *runtime.Container) {
	if c == nil {
		return
	}
	if _, err := w.Runtime.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: c.GetId()}); err != nil {
		return // tried again at the next look
	}
	path := filepath.Join(w.logDir(), logPath(c.GetMetadata().GetName(), c.GetMetadata().GetAttempt()))
	logs, _ := filepath.Glob(path + "*")
	for _, l := range logs {
		_ = os.Remove(l)
	}
	_ = os.Remove(w.messagePath(c.GetMetadata().GetName(), c.GetMetadata().GetAttempt()))
}
