package status

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

type containerKind int

const (
	appContainer containerKind = iota
	initContainer
	ephemeralContainer
)

// Reasons of a container that has no better one.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonUnknown      = "ContainerStatusUnknown"
	exitCodeUnknown    = 137
	reasonStart        = "StartError"
	exitCodeStart      = 128 // as runtimes report a container that could not be started
)

func (in *Input) list(containers []corev1.Container, old []corev1.ContainerStatus, kind containerKind) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range containers {
		out = append(out, in.container(&containers[i], Find(old, containers[i].Name), kind))
	}
	return out
}

// Find returns the status of the named container, or nil.
func Find(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func (in *Input) container(c *corev1.Container, old *corev1.ContainerStatus, kind containerKind) corev1.ContainerStatus {
	out := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	latest := in.Runtime.Latest(c.Name)
	if latest == nil {
		in.absent(&out, old)
	} else {
		in.present(&out, latest, c)
		in.remember(&out, old)
	}
	if kind == ephemeralContainer {
		in.once(&out, latest)
	}
	if w, ok := in.Waiting[c.Name]; ok && out.State.Running == nil && !in.over(c, kind, &out) {
		in.wait(&out, w)
	}
	in.probed(&out, c, kind)
	if kind != ephemeralContainer {
		out.AllocatedResources = c.Resources.Requests
		out.VolumeMounts = mounts(c)
	}
	switch {
	case out.State.Running != nil:
		out.Resources = resource.Actual(c, latest.Limits(), latest.GetAnnotations())
	case kind != ephemeralContainer && out.ContainerID != "": // what its next run gets
		out.Resources = c.Resources.DeepCopy()
	}
	return out
}

// over tells whether the container has ended for good, so that it waits for nothing.
func (in *Input) over(c *corev1.Container, kind containerKind, s *corev1.ContainerStatus) bool {
	ended := s.State.Terminated
	return ended != nil && (kind == ephemeralContainer || in.Stopping || !in.Renewing && !Restarts(in.Pod, c, ended.ExitCode))
}

// wait makes the container waiting; how it ended before moves to lastState.
func (in *Input) wait(out *corev1.ContainerStatus, w Waiting) {
	if out.State.Terminated != nil {
		out.LastTerminationState = corev1.ContainerState{Terminated: out.State.Terminated}
	}
	out.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}}
}

// absent fills the status of a container that the runtime does not have: not started yet, or vanished.
func (in *Input) absent(out, old *corev1.ContainerStatus) {
	out.State.Waiting = &corev1.ContainerStateWaiting{Reason: in.reasonWaiting()}
	if old == nil {
		return
	}
	out.RestartCount, out.LastTerminationState = old.RestartCount, old.LastTerminationState
	switch {
	case old.State.Terminated != nil:
		out.State = old.State
	case old.State.Running != nil:
		out.State.Waiting, out.State.Terminated = nil, lost(old)
	default:
		return
	}
	out.ContainerID, out.ImageID = old.ContainerID, old.ImageID
	if old.Image != "" {
		out.Image = old.Image
	}
}

// reasonWaiting is why a container waits that has not started yet. In a Pod with init containers this is the same for all
// of its containers, as the kubelet tells it.
func (in *Input) reasonWaiting() string {
	if len(in.Pod.Spec.InitContainers) > 0 {
		return reasonInitializing
	}
	return reasonCreating
}

// lost is the end of a container that ran when it was last heard of.
func lost(old *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		Reason: reasonUnknown, Message: "The container could not be located when the pod was deleted.  The container used to be Running",
		ExitCode: exitCodeUnknown, StartedAt: old.State.Running.StartedAt, ContainerID: old.ContainerID,
	}
}

// remember takes over how the run before ended, if the runtime does not know it any more.
func (in *Input) remember(out, old *corev1.ContainerStatus) {
	if old == nil || out.LastTerminationState.Terminated != nil || in.Runtime.Previous(out.Name) != nil {
		return
	}
	switch {
	case old.ContainerID == out.ContainerID || old.State.Waiting != nil:
		out.LastTerminationState = old.LastTerminationState
	case old.State.Terminated != nil:
		out.LastTerminationState.Terminated = old.State.Terminated
	case old.State.Running != nil:
		out.LastTerminationState.Terminated = lost(old)
	}
}

// once says of an ephemeral container what follows from its running at most once. The ID of one that is merely made
// is not told: whoever has an ID is taken for started. In a Pod that ends, one that has not started never will.
func (in *Input) once(out *corev1.ContainerStatus, latest *runtime.Container) {
	if out.State.Waiting == nil {
		return
	}
	out.ContainerID = ""
	if phase := in.Pod.Status.Phase; in.Stopping || phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		if latest == nil {
			out.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: reasonStart, Message: "the pod has ended or is being ended: nothing is started in it any more", ExitCode: exitCodeStart,
			}}
		}
	}
}

func (in *Input) present(out *corev1.ContainerStatus, c *runtime.Container, spec *corev1.Container) {
	out.RestartCount = int32(c.GetMetadata().GetAttempt())
	out.ContainerID = in.id(c)
	out.ImageID = c.GetImageRef()
	if out.ImageID == "" {
		out.ImageID = c.GetImageId()
	}
	if name := c.GetImage().GetImage(); name != "" && !strings.HasPrefix(name, "sha256:") {
		out.Image = name
	}
	out.User = user(c)
	switch {
	case c.Running():
		out.State.Running = &corev1.ContainerStateRunning{StartedAt: timestamp(c.GetStartedAt())}
	case c.Exited():
		out.State.Terminated = in.terminated(c)
	default:
		out.State.Waiting = &corev1.ContainerStateWaiting{Reason: in.reasonWaiting()}
	}
	if previous := in.Runtime.Previous(spec.Name); previous.Exited() {
		out.LastTerminationState.Terminated = in.terminated(previous)
	}
}

func (in *Input) id(c *runtime.Container) string { return in.RuntimeName + "://" + c.GetId() }

func (in *Input) terminated(c *runtime.Container) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode:    c.GetExitCode(),
		Reason:      c.GetReason(),
		Message:     c.GetMessage(),
		StartedAt:   timestamp(c.GetStartedAt()),
		FinishedAt:  timestamp(c.GetFinishedAt()),
		ContainerID: in.id(c),
	}
	if t.Reason == "" {
		t.Reason = "Completed"
		if t.ExitCode != 0 {
			t.Reason = "Error"
		}
	}
	if in.Message != nil {
		if text := in.Message(c); text != "" {
			t.Message = text
		}
	}
	return t
}

func timestamp(nanoseconds int64) metav1.Time {
	if nanoseconds <= 0 {
		return metav1.Time{}
	}
	return metav1.NewTime(time.Unix(0, nanoseconds).Truncate(time.Second))
}

func user(c *runtime.Container) *corev1.ContainerUser {
	u := c.GetUser().GetLinux()
	if u == nil {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: u.GetUid(), GID: u.GetGid(), SupplementalGroups: u.GetSupplementalGroups()}}
}

// probed sets ready and started. Ephemeral containers have no probes and are never ready.
func (in *Input) probed(out *corev1.ContainerStatus, c *corev1.Container, kind containerKind) {
	if kind == ephemeralContainer {
		return
	}
	running := out.State.Running != nil
	started := running && in.Started(c.Name)
	out.Started = &started
	if kind == initContainer && !Sidecar(c) {
		out.Ready = out.State.Terminated != nil && out.State.Terminated.ExitCode == 0
		started = running
		return
	}
	out.Ready = started && in.Ready(c.Name)
}

func mounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if want := m.RecursiveReadOnly; want != nil && *want == corev1.RecursiveReadOnlyEnabled {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		out = append(out, s)
	}
	return out
}
