package plain

import (
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

// Storages are REST storages by the name they are installed with.
type Storages = map[string]rest.Storage

// add puts the storage of k into all.
func add[T, L any, P registry.Object[T], Q registry.Object[L]](o registry.Options, all Storages, k registry.Kind[T, L, P, Q]) (*registry.Storage, error) {
	s, err := registry.New(o, k)
	if err != nil {
		return nil, err
	}
	all[k.Resource.Resource] = s
	return s, nil
}

// addWithStatus puts the storage of k and of its status subresource into all.
func addWithStatus[T, L any, P registry.Object[T], Q registry.Object[L]](o registry.Options, all Storages, k registry.Kind[T, L, P, Q]) (*registry.Storage, error) {
	s, err := add(o, all, k)
	if err != nil {
		return nil, err
	}
	all[k.Resource.Resource+"/status"] = registry.NewStatus(o, s, k)
	return s, nil
}

// each calls adds until one fails.
func each(adds ...func() error) error {
	for _, f := range adds {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
