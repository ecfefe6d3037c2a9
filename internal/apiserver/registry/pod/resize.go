package pod

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Resize changes the resources of running containers, and nothing else.
type Resize struct{ *registry.Subresource }

func newResize(o registry.Options, pods *registry.Storage) *Resize {
	return &Resize{registry.NewSubresource(pods, resizeStrategy{partial{ObjectTyper: o.Scheme}})}
}

// GetResetFieldsFilter implements rest.ResetFieldsFilterStrategy.
func (*Resize) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter {
	any := fieldpath.MatchAnyPathElement()
	return map[fieldpath.APIVersion]fieldpath.Filter{"v1": fieldpath.NewIncludeMatcherFilter(
		fieldpath.MakePrefixMatcherOrDie("spec", "containers", any, "resources"),
		fieldpath.MakePrefixMatcherOrDie("spec", "containers", any, "resizePolicy"),
		fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", any, "resources"),
		fieldpath.MakePrefixMatcherOrDie("spec", "initContainers", any, "resizePolicy"),
		fieldpath.MakePrefixMatcherOrDie("spec", "resources"),
	)}
}

type resizeStrategy struct{ partial }

// PrepareForUpdate takes resources and resize policies alone from the update. One that adds, removes, renames or
// reorders containers is left as it is: ValidateUpdate refuses it.
func (resizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, stored := obj.(*corev1.Pod), old.(*corev1.Pod)
	if !sameNames(pod.Spec.Containers, stored.Spec.Containers) || !sameNames(pod.Spec.InitContainers, stored.Spec.InitContainers) {
		validation.DropDisabledPodFields(pod, stored)
		return
	}
	sent := *pod
	*pod = *stored.DeepCopy()
	pod.Name, pod.Namespace, pod.UID = sent.Name, sent.Namespace, sent.UID
	pod.ResourceVersion, pod.ManagedFields, pod.SelfLink = sent.ResourceVersion, sent.ManagedFields, sent.SelfLink
	takeResources(pod.Spec.Containers, sent.Spec.Containers)
	takeResources(pod.Spec.InitContainers, sent.Spec.InitContainers)
	pod.Spec.Resources = sent.Spec.Resources
	keepPodResources(pod, stored)
	defaults.SetPodResources(pod)
	validation.DropDisabledPodFields(pod, stored)
	if !equality.Semantic.DeepEqual(pod.Spec, stored.Spec) {
		pod.Generation = stored.Generation + 1
	}
}

func sameNames(a, b []corev1.Container) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.Container) bool { return x.Name == y.Name })
}

func takeResources(to, from []corev1.Container) {
	for i := range to {
		to[i].Resources, to[i].ResizePolicy = from[i].Resources, from[i].ResizePolicy
	}
}

func (resizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	pod := obj.(*corev1.Pod)
	return validation.PodResize(pod, old.(*corev1.Pod))
}
