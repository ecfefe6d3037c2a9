package pod

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
	"github.com/mayfly-run/mayfly/internal/node/security"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// A Pod that names its node past the scheduler may ask for what the node cannot give. It fails at once and for good, so
// that whoever made it can make another.

const reasonOS = "PodOSNotSupported"

// take judges the Pod once, before anything of it is on the node. One that has a start time was taken before, and keeps
// what it has.
func (w *Worker) take() {
	w.mu.Lock()
	pod, judged := w.spec, w.taken || w.verdict != nil || w.gone || w.spec.DeletionTimestamp != nil || terminal(w.spec)
	w.mu.Unlock()
	if judged {
		return
	}
	w.admission.Lock() // so that two do not take the same room
	defer w.admission.Unlock()
	rejection := w.rejection(pod)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdict, w.taken = rejection, rejection == nil
}

// rejection is why the node does not take the Pod, in the kubelet's words; nil if it does.
func (w *Worker) rejection(pod *corev1.Pod) *status.Verdict {
	reason, message := "", ""
	if os := pod.Spec.OS; os != nil && os.Name != corev1.Linux {
		reason, message = reasonOS, "Failed to admit pod as the OS field doesn't match node OS"
	} else if name, lack := resource.Lack(pod, w.Claimed(w.uid), w.Allocatable); name != "" {
		reason, message = "OutOf"+string(name), lack
	} else if forbidden := security.ForbiddenSysctl(pod, w.UnsafeSysctls); forbidden != "" {
		reason, message = security.ReasonSysctl, forbidden
	}
	if reason == "" {
		return nil
	}
	w.Recorder.Event(pod, corev1.EventTypeWarning, reason, message)
	return &status.Verdict{Reason: reason, Message: "Pod was rejected: " + message, Rejected: true}
}

// Claims is what the Pod takes of its node, and none if it takes nothing yet, or any more.
func (w *Worker) Claims() corev1.ResourceList {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.taken || w.cleared || w.gone || terminal(w.spec) {
		return nil
	}
	return resource.Claims(w.spec)
}
