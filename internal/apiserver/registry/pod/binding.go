package pod

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Binding assigns a Pod to a node, once.
type Binding struct{ pods *registry.Storage }

// New implements rest.Storage.
func (*Binding) New() runtime.Object { return &corev1.Binding{} }

// Destroy implements rest.Storage.
func (*Binding) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*Binding) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (*Binding) GetSingularName() string { return "binding" }

// Create implements rest.NamedCreater.
func (b *Binding) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validation.PodBinding(binding); len(errs) != 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := b.assign(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps UID and resourceVersion as preconditions.
func (*Binding) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

func (b *Binding) assign(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	key, err := b.pods.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	preconditions := &storage.Preconditions{}
	if binding.UID != "" {
		preconditions.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		preconditions.ResourceVersion = &binding.ResourceVersion
	}
	err = b.pods.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, preconditions, storage.SimpleUpdate(func(o runtime.Object) (runtime.Object, error) {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			return nil, fmt.Errorf("bind pod: unexpected %T", o)
		}
		return pod, place(pod, binding)
	}), dryRun, nil)
	err = storeerr.InterpretUpdateError(storeerr.InterpretGetError(err, Resource(), binding.Name), Resource(), binding.Name)
	if status := (*apierrors.StatusError)(nil); err != nil && !errors.As(err, &status) {
		return apierrors.NewConflict(corev1.Resource("pods/binding"), binding.Name, err)
	}
	return err
}

// place puts the Pod on the binding's node, with the annotations and labels that the binding brings.
func place(pod *corev1.Pod, binding *corev1.Binding) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) != 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Annotations = merged(pod.Annotations, binding.Annotations)
	pod.Labels = merged(pod.Labels, binding.Labels)
	setScheduled(pod)
	return nil
}

func merged(to, from map[string]string) map[string]string {
	if to == nil && len(from) > 0 {
		to = map[string]string{}
	}
	maps.Copy(to, from)
	return to
}

func setScheduled(pod *corev1.Pod) {
	setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
}

// setCondition replaces the Pod's condition of that type. Its transition is now, if its status was another.
func setCondition(pod *corev1.Pod, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.Now()
	for i := range pod.Status.Conditions {
		old := &pod.Status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}

// namelessBinding is the old resource "bindings", where the name is in the object.
type namelessBinding struct{ Binding }

// Create implements rest.Creater.
func (b *namelessBinding) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", obj))
	}
	return b.Binding.Create(ctx, binding.Name, obj, validate, options)
}
