package printer

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	initPrefix        = "Init:"
	initializing      = "PodInitializing"
	completedReason   = "Completed"
	nodeLostReason    = "NodeLost"
	reasonRunning     = "Running"
	reasonNotReady    = "NotReady"
	reasonUnknown     = "Unknown"
	reasonTerminating = "Terminating"
)

func podSheet() sheet {
	return of[corev1.Pod, corev1.PodList](podCells,
		nameColumn(),
		column("Ready", "string", "Containers that are ready, of all that should be."),
		column("Status", "string", "What the Pod is doing, in the words of its most telling container."),
		column("Restarts", "string", "How often containers of the Pod were restarted, and how long ago the last time was."),
		ageColumn(),
		wide("IP", corev1.PodStatus{}.SwaggerDoc()["podIP"]),
		wide("Node", corev1.PodSpec{}.SwaggerDoc()["nodeName"]),
		wide("Nominated Node", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"]),
		wide("Readiness Gates", corev1.PodSpec{}.SwaggerDoc()["readinessGates"]),
	)
}

func podCells(pod *corev1.Pod, now time.Time) []any {
	s := summarize(pod)
	restarts := fmt.Sprint(s.restarts)
	if s.restarts != 0 && !s.last.IsZero() {
		restarts = fmt.Sprintf("%d (%s ago)", s.restarts, since(s.last, now))
	}
	ip := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	return []any{
		pod.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.reason, restarts, since(pod.CreationTimestamp, now),
		or(ip, none), or(pod.Spec.NodeName, none), or(pod.Status.NominatedNodeName, none), gates(pod),
	}
}

// summary is what the row of a Pod says about its containers.
type summary struct {
	ready, total int
	reason       string
	restarts     int
	last         metav1.Time // when a container was restarted last
}

// restarted counts the restarts of a container.
func (s *summary) restarted(c *corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.last.Before(&t.FinishedAt) {
		s.last = t.FinishedAt
	}
}

// summarize tells a Pod's story in one word: the first unfinished init container's while there is one, then that of
// the first regular container that has something to say, then the Pod's phase.
func summarize(pod *corev1.Pod) summary {
	s := summary{total: len(pod.Spec.Containers), reason: string(pod.Status.Phase)}
	if pod.Status.Reason != "" {
		s.reason = pod.Status.Reason
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars[c.Name] = true
			s.total++
		}
	}
	if !s.initialize(pod, sidecars) || hasCondition(pod, corev1.PodInitialized) {
		s.run(pod, sidecars)
	}
	terminal := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch {
	case pod.DeletionTimestamp == nil:
	case pod.Status.Reason == nodeLostReason:
		s.reason = reasonUnknown
	case !terminal:
		s.reason = reasonTerminating
	}
	return s
}

// initialize goes through the init containers up to the one that is not done, and says whether there is one.
func (s *summary) initialize(pod *corev1.Pod, sidecars map[string]bool) bool {
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		s.restarted(c)
		switch {
		case c.State.Terminated != nil && c.State.Terminated.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case c.State.Terminated != nil:
			s.reason = initPrefix + ended(c.State.Terminated)
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != initializing:
			s.reason = initPrefix + c.State.Waiting.Reason
		default:
			s.reason = fmt.Sprintf("%s%d/%d", initPrefix, i, len(pod.Spec.InitContainers))
		}
		return true
	}
	return false
}

// run goes through the regular containers; the first one's word counts most.
func (s *summary) run(pod *corev1.Pod, sidecars map[string]bool) {
	s.restarts, s.last = 0, metav1.Time{}
	for i := range pod.Status.InitContainerStatuses {
		if c := &pod.Status.InitContainerStatuses[i]; sidecars[c.Name] {
			s.restarted(c)
		}
	}
	running := false
	for i := len(pod.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &pod.Status.ContainerStatuses[i]
		s.restarted(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = ended(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == completedReason && running {
		s.reason = reasonNotReady
		if hasCondition(pod, corev1.PodReady) {
			s.reason = reasonRunning
		}
	}
}

// ended says how a container ended.
func ended(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func hasCondition(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func gates(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, g := range pod.Spec.ReadinessGates {
		if hasCondition(pod, g.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(pod.Spec.ReadinessGates))
}

// completed marks the rows of Pods that are over.
func completed(o runtime.Object) []metav1.TableRowCondition {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue,
			Reason: string(corev1.PodSucceeded), Message: "The pod has completed successfully."}}
	case corev1.PodFailed:
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue,
			Reason: string(corev1.PodFailed), Message: "The pod failed."}}
	}
	return nil
}
