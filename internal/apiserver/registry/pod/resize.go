package pod

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Resize changes the resources of running containers, and nothing else.
type Resize struct{ *registry.Subresource }

func newResize(o registry.Options, pods *registry.Storage) *Resize {
	return &Resize{registry.NewSubresource(pods, resizeStrategy{partial{o.Scheme}})}
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

// PrepareForUpdate takes resources and resize policies of known containers alone from the update.
func (resizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, stored := obj.(*corev1.Pod), old.(*corev1.Pod)
	sent := *pod
	*pod = *stored.DeepCopy()
	pod.Name, pod.Namespace, pod.UID = sent.Name, sent.Namespace, sent.UID
	pod.ResourceVersion, pod.ManagedFields, pod.SelfLink = sent.ResourceVersion, sent.ManagedFields, sent.SelfLink
	takeResources(pod.Spec.Containers, sent.Spec.Containers)
	takeResources(pod.Spec.InitContainers, sent.Spec.InitContainers)
	pod.Spec.Resources = sent.Spec.Resources
	validation.DropDisabledPodFields(pod, stored)
	if !equality.Semantic.DeepEqual(pod.Spec, stored.Spec) {
		pod.Generation = stored.Generation + 1
	}
}

func takeResources(to, from []corev1.Container) {
	for i := range to {
		for j := range from {
			if to[i].Name == from[j].Name {
				to[i].Resources, to[i].ResizePolicy = from[j].Resources, from[j].ResizePolicy
			}
		}
	}
}

func (resizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	pod := obj.(*corev1.Pod)
	if errs := refuseMarked(pod); errs != nil {
		return errs
	}
	return validation.PodResize(pod, old.(*corev1.Pod))
}
