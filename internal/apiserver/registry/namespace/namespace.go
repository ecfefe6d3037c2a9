// Package namespace is the storage of Namespaces: deleting one only marks it, until its content is gone and the
// namespace controller has taken its finalizer away.
package namespace

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

type kind = registry.Kind[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace, *corev1.NamespaceList]

// New makes the storage of "namespaces" and its subresources.
func New(o registry.Options) (map[string]rest.Storage, error) {
	k := kind{
		Resource:     corev1.Resource("namespaces"),
		ShortNames:   []string{"ns"},
		Create:       validation.NamespaceCreate,
		Update:       validation.NamespaceUpdate,
		UpdateStatus: validation.NamespaceStatusUpdate,
		Prepare:      prepare,
		PrepareUpdate: func(_ context.Context, n, old *corev1.Namespace) {
			n.Spec.Finalizers = old.Spec.Finalizers
		},
		KeepStatus: func(n, old *corev1.Namespace) {
			if old != nil {
				n.Status = old.Status
			}
		},
		KeepSpec: func(n, old *corev1.Namespace) { n.Spec = old.Spec },
		Fields: func(n *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(n.Status.Phase), "name": n.Name}
		},
		Return: true,
	}
	s, err := registry.New(o, k)
	if err != nil {
		return nil, err
	}
	s.ShouldDeleteDuringUpdate = func(ctx context.Context, key string, obj, existing runtime.Object) bool {
		n, ok := obj.(*corev1.Namespace)
		return ok && len(n.Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
	}
	return map[string]rest.Storage{
		"namespaces":          &Namespaces{store: s},
		"namespaces/status":   registry.NewStatus(o, s, k),
		"namespaces/finalize": &finalize{store: registry.NewSubresource(s, finalizeStrategy{ObjectTyper: o.Scheme})},
	}, nil
}

func prepare(_ context.Context, n *corev1.Namespace) {
	n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// Namespaces has every verb but deletecollection.
type Namespaces struct{ store *registry.Storage }

var (
	_ rest.Patcher         = (*Namespaces)(nil)
	_ rest.GracefulDeleter = (*Namespaces)(nil)
	_ rest.Watcher         = (*Namespaces)(nil)
)

// New implements rest.Storage.
func (n *Namespaces) New() runtime.Object { return n.store.New() }

// NewList implements rest.Lister.
func (n *Namespaces) NewList() runtime.Object { return n.store.NewList() }

// Destroy implements rest.Storage.
func (n *Namespaces) Destroy() { n.store.Destroy() }

// NamespaceScoped implements rest.Scoper.
func (n *Namespaces) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (n *Namespaces) GetSingularName() string { return n.store.GetSingularName() }

// ShortNames implements rest.ShortNamesProvider.
func (n *Namespaces) ShortNames() []string { return n.store.ShortNames() }

// StorageVersion implements rest.StorageVersionProvider.
func (n *Namespaces) StorageVersion() runtime.GroupVersioner { return n.store.StorageVersion() }

// ReadinessCheck implements rest.StorageWithReadiness.
func (n *Namespaces) ReadinessCheck() error { return n.store.ReadinessCheck() }

// GetResetFields implements rest.ResetFieldsStrategy.
func (n *Namespaces) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return n.store.GetResetFields()
}

// Get implements rest.Getter.
func (n *Namespaces) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return n.store.Get(ctx, name, o)
}

// List implements rest.Lister.
func (n *Namespaces) List(ctx context.Context, o *metainternal.ListOptions) (runtime.Object, error) {
	return n.store.List(ctx, o)
}

// Watch implements rest.Watcher.
func (n *Namespaces) Watch(ctx context.Context, o *metainternal.ListOptions) (watch.Interface, error) {
	return n.store.Watch(ctx, o)
}

// ConvertToTable implements rest.TableConvertor.
func (n *Namespaces) ConvertToTable(ctx context.Context, o, options runtime.Object) (*metav1.Table, error) {
	return n.store.ConvertToTable(ctx, o, options)
}

// Create implements rest.Creater.
func (n *Namespaces) Create(ctx context.Context, o runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	return n.store.Create(ctx, o, validate, options)
}

// Update implements rest.Updater.
func (n *Namespaces) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return n.store.Update(ctx, name, info, create, update, force, options)
}

// finalize has updates alone.
type finalize struct{ store *registry.Subresource }

var _ rest.Updater = (*finalize)(nil)

// New implements rest.Storage.
func (f *finalize) New() runtime.Object { return f.store.New() }

// Destroy implements rest.Storage.
func (f *finalize) Destroy() {}

// Update implements rest.Updater.
func (f *finalize) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return f.store.Update(ctx, name, info, create, update, force, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (*finalize) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields("v1", "status")
}

type finalizeStrategy struct {
	runtime.ObjectTyper
	registry.Distinct
}

func (finalizeStrategy) NamespaceScoped() bool                         { return false }
func (finalizeStrategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (finalizeStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (finalizeStrategy) Canonicalize(runtime.Object)                   {}
func (finalizeStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (finalizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.NamespaceFinalizeUpdate(obj.(*corev1.Namespace), old.(*corev1.Namespace))
}
