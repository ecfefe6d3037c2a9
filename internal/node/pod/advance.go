package pod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/status"
	"github.com/mayfly-run/mayfly/internal/node/volume"
)

// advance brings the Pod closer to what its spec wants, and returns when to look again. Called with mu held.
func (w *Worker) advance(ctx context.Context) time.Duration {
	if err := unsupported(w.spec); err != nil {
		w.announce("unsupported", corev1.EventTypeWarning, "UnsupportedPod", err.Error())
		w.refuse(err)
		return refreshPeriod
	}
	if !w.volumesUp {
		if next := w.prepareVolumes(ctx); !w.volumesUp {
			return next
		}
	}
	w.refreshVolumes(ctx)
	d := decide(w.picture())
	if d.sandbox && len(d.kills) == 0 {
		return w.startSandbox(ctx)
	}
	next := w.watchUsage(ctx)
	for _, k := range d.kills {
		w.startKill(ctx, k)
	}
	for _, r := range d.resizes {
		w.startResize(ctx, r)
	}
	for name, b := range d.backing {
		if w.isBusy(name) {
			continue // it is being started again, and what was seen of it is its former run
		}
		w.backOff(name, b)
		next = min(next, b.left)
	}
	for _, s := range d.starts {
		next = min(next, w.startContainer(ctx, s))
	}
	w.collect(ctx)
	return next
}

func (w *Worker) picture() picture {
	last := w.writer.Status()
	at, source := epoch(w.spec, w.rt)
	return picture{
		pod: w.spec, last: &last, rt: w.rt, now: time.Now(), epoch: at, source: source,
		pause:   func(c *corev1.Container, ended time.Time) time.Duration { return w.crash.Pause(Hash(c), ended) },
		forced:  func(id string) bool { return w.restart[id] },
		started: w.startedNow,
		failed: func(name string) probe.Kind {
			if g := w.probes[w.rt.Latest(name).GetId()]; g != nil {
				return g.Failed()
			}
			return ""
		},
	}
}

// unsupported says what the Pod asks for that this node cannot do.
func unsupported(pod *corev1.Pod) error {
	if err := volume.Unsupported(pod); err != nil {
		return err
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return fmt.Errorf("resourceClaims ask for dynamic resource allocation, which this node does not support")
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			if len(c.VolumeDevices) > 0 {
				return fmt.Errorf("container %q asks for volumeDevices, which this node does not support", c.Name)
			}
			for _, m := range c.VolumeMounts {
				if len(m.BindMountOptions) > 0 {
					return fmt.Errorf("container %q asks for bindMountOptions of volume %q, which this node does not support", c.Name, m.Name)
				}
			}
		}
	}
	return nil
}

// refuse makes every container wait with the reason why nothing of the Pod is started.
func (w *Worker) refuse(err error) {
	for _, list := range [][]corev1.Container{w.spec.Spec.InitContainers, w.spec.Spec.Containers} {
		for _, c := range list {
			w.waiting[c.Name] = status.Waiting{Reason: "UnsupportedPod", Message: err.Error()}
		}
	}
	for _, c := range w.spec.Spec.EphemeralContainers {
		w.waiting[c.Name] = status.Waiting{Reason: "UnsupportedPod", Message: err.Error()}
	}
}

// announce records an event about the Pod unless the same was the last one on the subject.
func (w *Worker) announce(subject, kind, reason, message string) {
	if w.announced[subject] == message {
		return
	}
	w.announced[subject] = message
	w.Recorder.Event(w.spec, kind, reason, message)
}

func (w *Worker) backOff(name string, b backing) {
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", b.pause, name, Describe(w.spec))
	latest := w.rt.Latest(name)
	if subject := "backoff/" + latest.GetId(); w.announced[subject] == "" {
		w.announced[subject] = message
		w.Recorder.Eventf(w.reference(name), corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", name, Describe(w.spec))
	}
	if w.waiting[name].Reason != "RunContainerError" {
		w.waiting[name] = status.Waiting{Reason: "CrashLoopBackOff", Message: message}
	}
}

// Describe names a Pod in messages.
func Describe(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// reference is the object of events about one container.
func (w *Worker) reference(container string) *corev1.ObjectReference {
	return Reference(w.spec, container)
}

// Reference returns the object of events about one container of the Pod.
func Reference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	field := "containers"
	for _, c := range pod.Spec.InitContainers {
		if c.Name == container {
			field = "initContainers"
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == container {
			field = "ephemeralContainers"
		}
	}
	return &corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, FieldPath: fmt.Sprintf("spec.%s{%s}", field, container),
	}
}

// prepareVolumes starts or waits for the task that makes the Pod's volumes.
func (w *Worker) prepareVolumes(ctx context.Context) time.Duration {
	if left := w.pausedFor(taskVolumes); left > 0 {
		return left
	}
	pod, facts := w.spec, w.facts()
	if len(pod.Spec.Volumes) == 0 {
		if err := w.Volumes.Prepare(ctx, pod, facts); err == nil {
			w.volumesUp, w.refreshed = true, time.Now()
			return 0
		}
	}
	w.spawn(ctx, taskVolumes, func(ctx context.Context) {
		err := w.Volumes.Prepare(ctx, pod, facts)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.volumesUp, w.refreshed = true, time.Now()
			w.retry.Forget(taskVolumes)
			return
		}
		if ctx.Err() == nil {
			w.pause(taskVolumes)
			w.announce(taskVolumes, corev1.EventTypeWarning, "FailedMount", err.Error())
		}
	})
	return refreshPeriod
}

// refreshVolumes writes anew, now and then, what comes from API objects.
func (w *Worker) refreshVolumes(ctx context.Context) {
	if len(w.spec.Spec.Volumes) == 0 || time.Since(w.refreshed) < refreshPeriod-time.Second {
		return
	}
	w.refreshed = time.Now()
	pod, facts := w.spec, w.facts()
	w.spawn(ctx, taskVolumes, func(ctx context.Context) {
		if err := w.Volumes.Refresh(ctx, pod, facts); err != nil && ctx.Err() == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.announce(taskVolumes, corev1.EventTypeWarning, "FailedMount", err.Error())
		}
	})
}

func (w *Worker) facts() volume.Facts {
	return volume.Facts{Addresses: w.addresses(), Allocatable: w.Allocatable}
}

// pause notes a failure of the named thing; pausedFor says how long it is to be left alone.
func (w *Worker) pause(name string) {
	w.after[name] = time.Now().Add(w.retry.Next(name, time.Now()))
}

func (w *Worker) pausedFor(name string) time.Duration { return time.Until(w.after[name]) }
