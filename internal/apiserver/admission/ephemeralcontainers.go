package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mayfly-run/mayfly/internal/apiserver/client"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
	"github.com/mayfly-run/mayfly/internal/apiserver/scheme"
)

// ephemeralContainers comes first: it makes a Pod that was sent as an EphemeralContainers a whole one, so that all
// that follow judge what will be stored.
type ephemeralContainers struct{ *admission.Handler }

// Admit implements admission.MutationInterface.
func (*ephemeralContainers) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != pod.Resource() || a.GetSubresource() != "ephemeralcontainers" {
		return nil
	}
	sent, ok := a.GetObject().(*corev1.Pod)
	stored, isPod := a.GetOldObject().(*corev1.Pod)
	if !ok || !isPod || !scheme.IsEphemeralContainers(sent) {
		return nil
	}
	pod.Complete(sent, stored)
	client.MarkEphemeralContainers(ctx)
	return nil
}
