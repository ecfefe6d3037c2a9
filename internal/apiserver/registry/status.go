package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Subresource is a view of a resource's storage that updates with rules of its own: status, finalize, …
type Subresource struct{ store *genericregistry.Store }

// NewSubresource shares s's storage and updates by the rules of update.
func NewSubresource(s *Storage, update rest.RESTUpdateStrategy) *Subresource {
	store := *s.Store
	store.UpdateStrategy, store.ResetFieldsStrategy = update, nil
	return &Subresource{store: &store}
}

// New implements rest.Storage.
func (s *Subresource) New() runtime.Object { return s.store.New() }

// Destroy implements rest.Storage; the resource itself closes what they share.
func (s *Subresource) Destroy() {}

// Get implements rest.Getter.
func (s *Subresource) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

// Update implements rest.Updater; a subresource never creates.
func (s *Subresource) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, create, update, false, options)
}

// ConvertToTable implements rest.TableConvertor.
func (s *Subresource) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, o, options)
}

// Status is the status subresource of a kind.
type Status struct {
	*Subresource
	reset map[fieldpath.APIVersion]*fieldpath.Set
}

// NewStatus makes the status subresource of k, whose storage is s.
func NewStatus[T, L any, P Object[T], Q Object[L]](o Options, s *Storage, k Kind[T, L, P, Q]) *Status {
	base := &strategy[T, L, P, Q]{ObjectTyper: o.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k}
	return &Status{NewSubresource(s, statusStrategy[T, L, P, Q]{base}), ResetFields(k.apiVersion(), append(k.Kept, "spec")...)}
}

// GetResetFields implements rest.ResetFieldsStrategy: what a status writer does not get to write it does not own either.
func (s *Status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return s.reset }

type statusStrategy[T, L any, P Object[T], Q Object[L]] struct{ *strategy[T, L, P, Q] }

func (s statusStrategy[T, L, P, Q]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.kind.KeepSpec(obj.(P), old.(P))
}

func (s statusStrategy[T, L, P, Q]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.UpdateStatus == nil {
		return nil
	}
	return s.kind.UpdateStatus(obj.(P), old.(P))
}

func (s statusStrategy[T, L, P, Q]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
