package status

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
)

func (in *Input) conditions(s *corev1.PodStatus) {
	sandbox := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	if in.Runtime.Sandbox() != nil {
		sandbox.Status = corev1.ConditionTrue
	}
	in.set(s, sandbox)
	in.set(s, in.initialized(s))
	containers := in.containersReady(s)
	ready := containers
	ready.Type = corev1.PodReady
	if containers.Status == corev1.ConditionTrue {
		in.gates(s, &ready)
	}
	in.set(s, ready)
	in.set(s, containers)
	in.set(s, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	in.renewing(s)
	in.resize(s)
}

// resize tells of resources that are still to be changed, as long as they are.
func (in *Input) resize(s *corev1.PodStatus) {
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodResizePending && in.ResizePending == (Waiting{}) || c.Type == corev1.PodResizeInProgress && !in.resizing()
	})
	if in.ResizePending != (Waiting{}) {
		in.set(s, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: in.ResizePending.Reason, Message: in.ResizePending.Message})
	}
	if !in.resizing() {
		return
	}
	c := corev1.PodCondition{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue}
	for _, name := range slices.Sorted(maps.Keys(in.ResizeFailed)) {
		c.Reason, c.Message = corev1.PodReasonError, in.ResizeFailed[name]
	}
	in.set(s, c)
}

// resizing tells whether a running container has other resources than it is to have.
func (in *Input) resizing() bool {
	for _, list := range [][]corev1.Container{in.Pod.Spec.InitContainers, in.Pod.Spec.Containers} {
		for i := range list {
			latest := in.Runtime.Latest(list[i].Name)
			if !latest.Running() {
				continue
			}
			if cpu, memory := resource.Pending(&list[i], latest.Limits()); cpu || memory || resource.RequestPending(&list[i], latest.GetAnnotations()) {
				return true
			}
		}
	}
	return false
}

// renewing tells of all containers' restart, also that it is over, but nothing if there never was one.
func (in *Input) renewing(s *corev1.PodStatus) {
	c := corev1.PodCondition{Type: corev1.AllContainersRestarting, Status: corev1.ConditionFalse}
	if in.Renewing {
		c.Status = corev1.ConditionTrue
	}
	if in.Renewing || has(s.Conditions, corev1.AllContainersRestarting) {
		in.set(s, c)
	}
}

func has(list []corev1.PodCondition, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(list, func(c corev1.PodCondition) bool { return c.Type == t })
}

// set puts the condition in its place; the time of transition stays while the status does.
func (in *Input) set(s *corev1.PodStatus, c corev1.PodCondition) {
	c.ObservedGeneration = in.Pod.Generation
	c.LastTransitionTime = metav1.NewTime(in.Now.Truncate(time.Second))
	for i := range s.Conditions {
		old := &s.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && !old.LastTransitionTime.IsZero() {
			c.LastTransitionTime = old.LastTransitionTime
		}
		c.LastProbeTime = old.LastProbeTime
		*old = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}

func (in *Input) initialized(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		c.Reason = "PodCompleted"
		return c
	}
	var incomplete []string
	for i := range in.Pod.Spec.InitContainers {
		spec, status := &in.Pod.Spec.InitContainers[i], &s.InitContainerStatuses[i]
		if Sidecar(spec) && !*status.Started || !Sidecar(spec) && !status.Ready {
			incomplete = append(incomplete, spec.Name)
		}
	}
	if len(incomplete) > 0 && !in.wasInitialized(s) {
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", incomplete)
	}
	return c
}

// wasInitialized tells whether an application container was ever started, which only happens to an initialized Pod. In
// a new sandbox everything begins anew.
func (in *Input) wasInitialized(s *corev1.PodStatus) bool {
	sandbox := in.Runtime.Sandbox()
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		if c.ContainerID != "" && (sandbox == nil || in.Runtime.Latest(c.Name) == nil || in.Runtime.Latest(c.Name).SandboxID == sandbox.GetId()) {
			return true
		}
	}
	return false
}

func (in *Input) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Reason = "PodCompleted"
		return c
	case corev1.PodFailed:
		c.Reason = "PodFailed"
		return c
	}
	var unready []string
	for i := range in.Pod.Spec.InitContainers {
		if Sidecar(&in.Pod.Spec.InitContainers[i]) && !s.InitContainerStatuses[i].Ready {
			unready = append(unready, s.InitContainerStatuses[i].Name)
		}
	}
	for i := range s.ContainerStatuses {
		if !s.ContainerStatuses[i].Ready {
			unready = append(unready, s.ContainerStatuses[i].Name)
		}
	}
	if len(unready) > 0 {
		c.Reason, c.Message = "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
		return c
	}
	c.Status = corev1.ConditionTrue
	return c
}

// gates makes the Pod unready while a condition that its spec names as a gate is not true.
func (in *Input) gates(s *corev1.PodStatus, ready *corev1.PodCondition) {
	for _, gate := range in.Pod.Spec.ReadinessGates {
		status := corev1.ConditionStatus("")
		for i := range s.Conditions {
			if s.Conditions[i].Type == gate.ConditionType {
				status = s.Conditions[i].Status
			}
		}
		if status == corev1.ConditionTrue {
			continue
		}
		ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		ready.Message = fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, status)
		if status == "" {
			ready.Message = fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType)
		}
		return
	}
}
