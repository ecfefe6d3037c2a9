package registry

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Object is a pointer to an API type.
type Object[T any] interface {
	*T
	runtime.Object
}

// Kind describes a resource whose objects are T, listed in L. Zero fields mean the plain behaviour.
type Kind[T, L any, P Object[T], Q Object[L]] struct {
	Resource   schema.GroupResource
	Version    string // "v1" when empty; only managed fields ask
	Singular   string
	ShortNames []string
	Categories []string
	Namespaced bool
	// CreateOnUpdate lets a PUT create; ConditionalUpdate refuses updates without resourceVersion.
	CreateOnUpdate, ConditionalUpdate bool

	// Create, Update and UpdateStatus judge objects; a nil one accepts.
	Create       func(P) field.ErrorList
	Update       func(obj, old P) field.ErrorList
	UpdateStatus func(obj, old P) field.ErrorList
	// ByRequest judges what depends on the request, the API group say, besides; old is nil at a creation.
	ByRequest func(_ context.Context, obj, old P) field.ErrorList
	// Prepare normalizes a new object, PrepareUpdate an update, before they are judged.
	Prepare       func(context.Context, P)
	PrepareUpdate func(_ context.Context, obj, old P)
	// KeepStatus copies old's status to obj, and with nil old clears it; nil when the kind has no status.
	KeepStatus func(obj, old P)
	// KeepSpec copies everything but status and metadata; the status subresource uses it.
	KeepSpec func(obj, old P)
	// Kept are paths besides the spec that KeepSpec copies, as metadata.labels.
	Kept []string
	// Spec is what generation counts changes of; nil when the kind has no generation.
	Spec func(P) any
	// Warn returns warnings for the client.
	Warn func(_ context.Context, obj, old P) []string
	// Fields are what field selectors see beyond the metadata.
	Fields func(P) fields.Set
	// Index names a field that the watch cache indexes, among Fields.
	Index string
	// Graceful decides on graceful deletion; nil deletes at once.
	Graceful func(context.Context, P, *DeleteOptions) bool
	// Dependents is the garbage collection policy by default; background when empty.
	Dependents rest.GarbageCollectionPolicy
	// TTL, in seconds, makes objects vanish by themselves.
	TTL uint64
	// Return makes a deletion answer with the deleted object.
	Return bool
}

// Storage is a resource's REST storage.
type Storage struct {
	*genericregistry.Store
	short, categories []string
}

// ShortNames implements rest.ShortNamesProvider.
func (s *Storage) ShortNames() []string { return s.short }

// Categories implements rest.CategoriesProvider.
func (s *Storage) Categories() []string { return s.categories }

// Options are what every storage needs from the server.
type Options struct {
	Scheme  *runtime.Scheme
	Getter  generic.RESTOptionsGetter
	Printer func(schema.GroupResource) rest.TableConvertor
}

// New makes the storage of k.
func New[T, L any, P Object[T], Q Object[L]](o Options, k Kind[T, L, P, Q]) (*Storage, error) {
	s := &strategy[T, L, P, Q]{ObjectTyper: o.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return P(new(T)) },
		NewListFunc:               func() runtime.Object { return Q(new(L)) },
		PredicateFunc:             k.predicate,
		DefaultQualifiedResource:  k.Resource,
		SingularQualifiedResource: schema.GroupResource{Group: k.Resource.Group, Resource: k.singular()},
		CreateStrategy:            s,
		UpdateStrategy:            s,
		DeleteStrategy:            s.deleteStrategy(),
		ResetFieldsStrategy:       s,
		ReturnDeletedObject:       k.Return,
		TableConvertor:            o.Printer(k.Resource),
	}
	if k.TTL > 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return k.TTL, nil }
	}
	options := &generic.StoreOptions{RESTOptions: o.Getter, AttrFunc: k.attributes}
	if k.Index != "" {
		options.TriggerFunc = storage.IndexerFuncs{k.Index: func(o runtime.Object) string { return k.Fields(o.(P))[k.Index] }}
		options.Indexers = &cache.Indexers{storage.FieldIndex(k.Index): func(o any) ([]string, error) {
			p, ok := o.(P)
			if !ok {
				return nil, fmt.Errorf("index %s: not a %T", k.Resource, p)
			}
			return []string{k.Fields(p)[k.Index]}, nil
		}}
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", k.Resource, err)
	}
	return &Storage{Store: store, short: k.ShortNames, categories: k.Categories}, nil
}

func (k Kind[T, L, P, Q]) singular() string {
	if k.Singular != "" {
		return k.Singular
	}
	return strings.TrimSuffix(k.Resource.Resource, "s")
}

func (k Kind[T, L, P, Q]) apiVersion() fieldpath.APIVersion {
	gv := schema.GroupVersion{Group: k.Resource.Group, Version: k.Version}
	if gv.Version == "" {
		gv.Version = "v1"
	}
	return fieldpath.APIVersion(gv.String())
}

// attributes are what selectors see of an object.
func (k Kind[T, L, P, Q]) attributes(o runtime.Object) (labels.Set, fields.Set, error) {
	p, ok := o.(P)
	if !ok {
		return nil, nil, fmt.Errorf("not a %T: %T", p, o)
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, nil, err
	}
	set := fields.Set{}
	if k.Fields != nil {
		set = k.Fields(p)
	}
	set["metadata.name"] = m.GetName()
	if k.Namespaced {
		set["metadata.namespace"] = m.GetNamespace()
	}
	return m.GetLabels(), set, nil
}

func (k Kind[T, L, P, Q]) predicate(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	p := storage.SelectionPredicate{Label: label, Field: field, GetAttrs: k.attributes}
	if k.Index != "" {
		p.IndexFields = []string{k.Index}
	}
	return p
}
