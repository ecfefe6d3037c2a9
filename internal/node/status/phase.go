package status

import (
	corev1 "k8s.io/api/core/v1"
)

// phase follows the kubelet's rule. Succeeded and Failed are final, and no Pod goes back to Pending, though its init
// containers may run again.
func (in *Input) phase(s *corev1.PodStatus) corev1.PodPhase {
	if old := in.Pod.Status.Phase; old == corev1.PodSucceeded || old == corev1.PodFailed {
		return old
	}
	if in.Verdict != nil && !in.Runtime.AnyRunning() {
		return corev1.PodFailed
	}
	if in.Renewing && !in.Stopping {
		return corev1.PodRunning
	}
	phase, done := in.initPhase(s)
	if done {
		phase = in.appPhase(s)
	}
	if phase == corev1.PodPending && in.Pod.Status.Phase == corev1.PodRunning {
		return corev1.PodRunning
	}
	return phase
}

// initPhase judges the init containers; done says that all of them are through, or started if they are sidecars.
func (in *Input) initPhase(s *corev1.PodStatus) (phase corev1.PodPhase, done bool) {
	for i := range in.Pod.Spec.InitContainers {
		c, status := &in.Pod.Spec.InitContainers[i], &s.InitContainerStatuses[i]
		if Sidecar(c) {
			if !*status.Started && status.State.Terminated == nil && status.LastTerminationState.Terminated == nil {
				return corev1.PodPending, false
			}
			continue
		}
		if ended := status.State.Terminated; ended == nil || ended.ExitCode != 0 {
			final := ended != nil && !Restarts(in.Pod, c, ended.ExitCode)
			if final || in.Stopping && !in.Runtime.AnyRunning() && ended != nil {
				return corev1.PodFailed, false
			}
			return corev1.PodPending, false
		}
	}
	return "", true
}

func (in *Input) appPhase(s *corev1.PodStatus) corev1.PodPhase {
	var waiting, running, restarting, failed int
	for i := range s.ContainerStatuses {
		c, status := &in.Pod.Spec.Containers[i], &s.ContainerStatuses[i]
		ended := status.State.Terminated
		switch {
		case status.State.Running != nil:
			running++
			continue
		case ended == nil && status.LastTerminationState.Terminated == nil:
			waiting++
			continue
		case ended == nil:
			ended = status.LastTerminationState.Terminated
			if !in.Stopping {
				restarting++
			}
		case !in.Stopping && Restarts(in.Pod, c, ended.ExitCode):
			restarting++
		}
		if ended.ExitCode != 0 {
			failed++
		}
	}
	switch {
	case waiting > 0 && !in.Stopping:
		return corev1.PodPending
	case running > 0 || restarting > 0 || sidecarRunning(in.Pod, s):
		return corev1.PodRunning
	case waiting > 0:
		return in.stoppedEarly(s)
	case failed > 0:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// stoppedEarly is the phase of a Pod whose end came before all its containers had started.
func (in *Input) stoppedEarly(*corev1.PodStatus) corev1.PodPhase {
	if in.Pod.Status.Phase == corev1.PodRunning {
		return corev1.PodFailed
	}
	return corev1.PodPending
}

func sidecarRunning(pod *corev1.Pod, s *corev1.PodStatus) bool {
	for i := range pod.Spec.InitContainers {
		if Sidecar(&pod.Spec.InitContainers[i]) && s.InitContainerStatuses[i].State.Running != nil {
			return true
		}
	}
	return false
}

// Restarts tells whether a container of the Pod that ended with code is started again. The container's own rules
// come first, then its own policy, then the Pod's. An init container is done once it has ended well.
func Restarts(pod *corev1.Pod, c *corev1.Container, code int32) bool {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes != nil && matches(rule.ExitCodes, code) {
			return true // both actions, Restart and RestartAllContainers, start this one again
		}
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	} else if policy == corev1.RestartPolicyAlways && isInit(pod, c.Name) {
		policy = corev1.RestartPolicyOnFailure
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// RestartsAll tells whether the end of the container with code makes all containers of the Pod start anew. The first
// rule that fits the code decides.
func RestartsAll(c *corev1.Container, code int32) bool {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes != nil && matches(rule.ExitCodes, code) {
			return rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		}
	}
	return false
}

func isInit(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}

func matches(on *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	found := false
	for _, v := range on.Values {
		found = found || v == code
	}
	if on.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn {
		return !found
	}
	return found
}
