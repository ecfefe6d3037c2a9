package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mayfly-run/mayfly/internal/apiserver/client"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
	"github.com/mayfly-run/mayfly/internal/apiserver/scheme"
)

// ephemeralContainers comes first: it makes a Pod that was sent as an EphemeralContainers a whole one, so that all
// that follow judge what will be stored. Elsewhere than at its subresource nobody knows that kind.
type ephemeralContainers struct{ *admission.Handler }

// Admit implements admission.MutationInterface.
func (*ephemeralContainers) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != pod.Resource() {
		return nil
	}
	sent, ok := a.GetObject().(*corev1.Pod)
	// A creation has lost the mark by now; but what was decoded as a Pod has its defaults.
	created := ok && a.GetOperation() == admission.Create && sent.Spec.SecurityContext == nil
	if !ok || !created && !scheme.IsEphemeralContainers(sent) {
		return nil
	}
	stored, ok := a.GetOldObject().(*corev1.Pod)
	if !ok || a.GetSubresource() != "ephemeralcontainers" {
		return apierrors.NewBadRequest(`EphemeralContainers in version "v1" cannot be handled as a Pod: no kind "EphemeralContainers" is registered for version "v1"`)
	}
	pod.Complete(sent, stored)
	client.MarkEphemeralContainers(ctx)
	return nil
}
