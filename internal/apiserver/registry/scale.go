package registry

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// LabelSelector is metav1's.
type LabelSelector = metav1.LabelSelector

// ScaleFields are where a workload P keeps what a Scale shows.
type ScaleFields[P runtime.Object] struct {
	Replicas func(P) **int32
	Status   func(P) int32
	Selector func(P) *LabelSelector
}

// Scale is the scale subresource of a workload.
type Scale[P runtime.Object] struct {
	store  *Storage
	fields ScaleFields[P]
}

// NewScale makes the scale subresource of s.
func NewScale[P runtime.Object](s *Storage, fields ScaleFields[P]) *Scale[P] {
	return &Scale[P]{store: s, fields: fields}
}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (s *Scale[P]) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

// New implements rest.Storage.
func (s *Scale[P]) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy implements rest.Storage.
func (s *Scale[P]) Destroy() {}

// ConvertToTable implements rest.TableConvertor.
func (s *Scale[P]) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(s.store.DefaultQualifiedResource).ConvertToTable(ctx, o, options)
}

// Get implements rest.Getter.
func (s *Scale[P]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	o, err := s.store.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return s.scale(o)
}

// Update implements rest.Updater.
func (s *Scale[P]) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	scaled := &scaleInfo[P]{UpdatedObjectInfo: info, scale: s}
	validate := func(ctx context.Context, obj, old runtime.Object) error {
		newScale, err := s.scale(obj)
		if err != nil {
			return err
		}
		oldScale, err := s.scale(old)
		if err != nil {
			return err
		}
		return update(ctx, newScale, oldScale)
	}
	o, _, err := s.store.Update(ctx, name, scaled, rest.ValidateAllObjectFunc, validate, false, options)
	if err != nil {
		return nil, false, err
	}
	scale, err := s.scale(o)
	return scale, false, err
}

func (s *Scale[P]) scale(o runtime.Object) (*autoscalingv1.Scale, error) {
	workload, ok := o.(P)
	if !ok {
		return nil, fmt.Errorf("scale of %T", o)
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(s.fields.Selector(workload))
	if err != nil {
		return nil, fmt.Errorf("selector of %s: %w", m.GetName(), err)
	}
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(),
			ResourceVersion: m.GetResourceVersion(), CreationTimestamp: m.GetCreationTimestamp(),
		},
		Status: autoscalingv1.ScaleStatus{Replicas: s.fields.Status(workload), Selector: selector.String()},
	}
	if n := *s.fields.Replicas(workload); n != nil {
		scale.Spec.Replicas = *n
	}
	return scale, nil
}

// scaleInfo turns an update of a Scale into one of its workload.
type scaleInfo[P runtime.Object] struct {
	rest.UpdatedObjectInfo
	scale *Scale[P]
}

func (i *scaleInfo[P]) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	workload, ok := old.DeepCopyObject().(P)
	if !ok {
		return nil, fmt.Errorf("scale of %T", old)
	}
	before, err := i.scale.scale(workload)
	if err != nil {
		return nil, err
	}
	m, err := meta.Accessor(workload)
	if err != nil {
		return nil, err
	}
	group := i.scale.store.DefaultQualifiedResource.Group
	version := schema.GroupVersion{Group: group, Version: "v1"}
	path := fieldpath.MakePathOrDie("spec", "replicas")
	handler := managedfields.NewScaleHandler(m.GetManagedFields(), version, managedfields.ResourcePathMappings{version.String(): path})
	if before.ManagedFields, err = handler.ToSubresource(); err != nil {
		return nil, err
	}
	o, err := i.UpdatedObjectInfo.UpdatedObject(ctx, before)
	if err != nil {
		return nil, err
	}
	scale, ok := o.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", o))
	}
	if errs := validateScale(scale); len(errs) > 0 {
		return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), m.GetName(), errs)
	}
	replicas := scale.Spec.Replicas
	*i.scale.fields.Replicas(workload) = &replicas
	m.SetResourceVersion(scale.ResourceVersion)
	if scale.UID != "" {
		m.SetUID(scale.UID)
	}
	fields, err := handler.ToParent(scale.ManagedFields)
	if err != nil {
		return nil, err
	}
	m.SetManagedFields(fields)
	return workload, nil
}

func validateScale(s *autoscalingv1.Scale) field.ErrorList {
	if s.Spec.Replicas < 0 {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), s.Spec.Replicas, "must be greater than or equal to 0")}
	}
	return nil
}
