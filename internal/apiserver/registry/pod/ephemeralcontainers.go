package pod

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mayfly-run/mayfly/internal/apiserver/client"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/scheme"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// EphemeralContainers is the subresource that ephemeral containers are added by. It speaks two kinds on one path:
// Pod, and EphemeralContainers as clients up to 1.21 do; an update is answered in the kind it came in, a read in the
// kind that its client knows.
type EphemeralContainers struct{ *registry.Subresource }

func newEphemeralContainers(o registry.Options, pods *registry.Storage) *EphemeralContainers {
	return &EphemeralContainers{registry.NewSubresource(pods, ephemeralContainersStrategy{partial{ObjectTyper: o.Scheme}})}
}

// Get implements rest.Getter.
func (e *EphemeralContainers) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	o, err := e.Subresource.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	if pod, ok := o.(*corev1.Pod); ok && client.SpeaksEphemeralContainers(ctx) {
		return scheme.EphemeralContainersFromPod(pod), nil
	}
	return o, nil
}

// Update implements rest.Updater.
func (e *EphemeralContainers) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	merging := &mergedInfo{UpdatedObjectInfo: info}
	o, created, err := e.Subresource.Update(ctx, name, merging, create, update, force, options)
	if err != nil {
		return nil, false, err
	}
	if pod, ok := o.(*corev1.Pod); ok && (merging.legacy || client.SentEphemeralContainers(ctx)) {
		return scheme.EphemeralContainersFromPod(pod), created, nil
	}
	return o, created, nil
}

// mergedInfo lays what an update says of ephemeral containers over the stored Pod, and notes the kind it came in.
type mergedInfo struct {
	rest.UpdatedObjectInfo
	legacy bool
}

func (m *mergedInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	o, err := m.UpdatedObjectInfo.UpdatedObject(ctx, old)
	if err != nil {
		return nil, err
	}
	pod, ok := o.(*corev1.Pod)
	stored, isPod := old.(*corev1.Pod)
	if !ok || !isPod || !scheme.IsEphemeralContainers(pod) {
		return o, nil
	}
	m.legacy = true
	Complete(pod, stored)
	return pod, nil
}

// Complete makes a Pod that stands for an EphemeralContainers a whole one: the stored Pod with that list.
func Complete(pod, stored *corev1.Pod) {
	sent := pod.ObjectMeta
	list := pod.Spec.EphemeralContainers
	*pod = *stored.DeepCopy()
	pod.Spec.EphemeralContainers = list
	pod.ManagedFields = sent.ManagedFields
	if sent.Name != "" {
		pod.Name = sent.Name
	}
	if sent.UID != "" {
		pod.UID = sent.UID
	}
	if sent.ResourceVersion != "" {
		pod.ResourceVersion = sent.ResourceVersion
	}
}

// partial is what strategies of Pod subresources have in common: none creates.
type partial struct {
	runtime.ObjectTyper
	registry.Distinct
}

func (partial) NamespaceScoped() bool                         { return true }
func (partial) AllowCreateOnUpdate(context.Context) bool      { return false }
func (partial) AllowUnconditionalUpdate(context.Context) bool { return true }
func (partial) Canonicalize(runtime.Object)                   {}
func (partial) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

type ephemeralContainersStrategy struct{ partial }

// PrepareForUpdate takes the list of ephemeral containers alone from the update.
func (ephemeralContainersStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, stored := obj.(*corev1.Pod), old.(*corev1.Pod)
	list, meta := pod.Spec.EphemeralContainers, pod.ObjectMeta
	*pod = *stored.DeepCopy()
	pod.Name, pod.Namespace, pod.UID = meta.Name, meta.Namespace, meta.UID
	pod.ResourceVersion, pod.ManagedFields = meta.ResourceVersion, meta.ManagedFields
	pod.Spec.EphemeralContainers = list
	validation.DropDisabledPodFields(pod, stored)
	pod.Generation = stored.Generation
	if !equality.Semantic.DeepEqual(pod.Spec, stored.Spec) {
		pod.Generation++
	}
}

func (ephemeralContainersStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.PodEphemeralContainersUpdate(obj.(*corev1.Pod), old.(*corev1.Pod))
}

// GetResetFieldsFilter implements rest.ResetFieldsFilterStrategy: of all fields, this subresource writes one.
func (e *EphemeralContainers) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter {
	return map[fieldpath.APIVersion]fieldpath.Filter{
		"v1": fieldpath.NewIncludeMatcherFilter(fieldpath.MakePrefixMatcherOrDie("spec", "ephemeralContainers")),
	}
}
