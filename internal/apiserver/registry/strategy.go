package registry

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/operation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// DeleteOptions are metav1's.
type DeleteOptions = metav1.DeleteOptions

// Distinct makes a strategy say each error once, as all of kube-apiserver's do.
type Distinct struct{}

// DeclarativeValidationConfig implements rest.DeclarativeValidationStrategy.
func (Distinct) DeclarativeValidationConfig(context.Context, runtime.Object, runtime.Object) rest.DeclarativeValidationConfig {
	return rest.DeclarativeValidationConfig{}
}

// ValidateDeclaratively implements rest.DeclarativeValidationStrategy. It is given what all rules together found.
func (Distinct) ValidateDeclaratively(_ context.Context, _, _ runtime.Object, errs field.ErrorList, _ operation.Type, _ rest.DeclarativeValidationConfig) field.ErrorList {
	return errs.Filter()
}

// strategy turns a Kind into what the generic store asks of create, update and delete strategies.
type strategy[T, L any, P Object[T], Q Object[L]] struct {
	runtime.ObjectTyper
	names.NameGenerator
	Distinct
	kind Kind[T, L, P, Q]
}

func (s *strategy[T, L, P, Q]) NamespaceScoped() bool { return s.kind.Namespaced }

func (s *strategy[T, L, P, Q]) AllowCreateOnUpdate(context.Context) bool {
	return s.kind.CreateOnUpdate
}

func (s *strategy[T, L, P, Q]) AllowUnconditionalUpdate(context.Context) bool {
	return !s.kind.ConditionalUpdate
}

func (s *strategy[T, L, P, Q]) Canonicalize(runtime.Object) {}

func (s *strategy[T, L, P, Q]) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	p := obj.(P)
	if s.kind.KeepStatus != nil {
		s.kind.KeepStatus(p, nil)
	}
	if s.kind.Spec != nil {
		setGeneration(p, 1)
	}
	if s.kind.Prepare != nil {
		s.kind.Prepare(ctx, p)
	}
}

func (s *strategy[T, L, P, Q]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	p, o := obj.(P), old.(P)
	if s.kind.KeepStatus != nil {
		s.kind.KeepStatus(p, o)
	}
	if s.kind.PrepareUpdate != nil {
		s.kind.PrepareUpdate(ctx, p, o)
	}
	if s.kind.Spec != nil && !equality.Semantic.DeepEqual(s.kind.Spec(p), s.kind.Spec(o)) {
		bumpGeneration(p, o)
	}
}

func (s *strategy[T, L, P, Q]) Validate(ctx context.Context, obj runtime.Object) (errs field.ErrorList) {
	if s.kind.Create != nil {
		errs = s.kind.Create(obj.(P))
	}
	if s.kind.ByRequest != nil {
		errs = append(errs, s.kind.ByRequest(ctx, obj.(P), nil)...)
	}
	return errs
}

func (s *strategy[T, L, P, Q]) ValidateUpdate(ctx context.Context, obj, old runtime.Object) (errs field.ErrorList) {
	if s.kind.Update != nil {
		errs = s.kind.Update(obj.(P), old.(P))
	}
	if s.kind.ByRequest != nil {
		errs = append(errs, s.kind.ByRequest(ctx, obj.(P), old.(P))...)
	}
	return errs
}

func (s *strategy[T, L, P, Q]) WarningsOnCreate(ctx context.Context, obj runtime.Object) []string {
	if s.kind.Warn == nil {
		return nil
	}
	return s.kind.Warn(ctx, obj.(P), nil)
}

func (s *strategy[T, L, P, Q]) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	if s.kind.Warn == nil {
		return nil
	}
	return s.kind.Warn(ctx, obj.(P), old.(P))
}

// DefaultGarbageCollectionPolicy implements rest.GarbageCollectionDeleteStrategy.
func (s *strategy[T, L, P, Q]) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	if s.kind.Dependents == "" {
		return rest.DeleteDependents
	}
	return s.kind.Dependents
}

// GetResetFields implements rest.ResetFieldsStrategy: status belongs to the status subresource.
func (s *strategy[T, L, P, Q]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.kind.KeepStatus == nil {
		return nil
	}
	return ResetFields(s.kind.apiVersion(), "status")
}

// deleteStrategy adds graceful deletion where the kind has it: the store asks by type.
func (s *strategy[T, L, P, Q]) deleteStrategy() rest.RESTDeleteStrategy {
	if s.kind.Graceful == nil {
		return s
	}
	return graceful[T, L, P, Q]{s}
}

type graceful[T, L any, P Object[T], Q Object[L]] struct{ *strategy[T, L, P, Q] }

// CheckGracefulDelete implements rest.RESTGracefulDeleteStrategy.
func (g graceful[T, L, P, Q]) CheckGracefulDelete(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	return g.kind.Graceful(ctx, obj.(P), options)
}

// ResetFields are the paths, as metadata.labels, that a strategy takes from the stored object, whoever sends them.
func ResetFields(version fieldpath.APIVersion, paths ...string) map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet()
	for _, p := range paths {
		var path fieldpath.Path
		for _, name := range strings.Split(p, ".") {
			path = append(path, fieldpath.PathElement{FieldName: &name})
		}
		set.Insert(path)
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{version: set}
}

func setGeneration(o runtime.Object, n int64) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetGeneration(n)
	}
}

func bumpGeneration(o, old runtime.Object) {
	if m, err := meta.Accessor(old); err == nil {
		setGeneration(o, m.GetGeneration()+1)
	}
}
