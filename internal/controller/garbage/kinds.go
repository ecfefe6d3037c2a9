package garbage

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// kinds are the kinds of object that the server serves, in every version.
type kinds struct {
	byKind map[schema.GroupVersionKind]kind
	// watched are the kinds whose objects may be deleted, in one version each. Events are left out: they own nothing,
	// are owned by nothing, come in swarms, and go by themselves.
	watched []kind
}

func (k kinds) find(gvk schema.GroupVersionKind) (kind, bool) {
	found, ok := k.byKind[gvk]
	return found, ok
}

func discoverKinds(client discovery.DiscoveryInterface) (kinds, error) {
	found := kinds{byKind: map[schema.GroupVersionKind]kind{}}
	_, all, err := client.ServerGroupsAndResources()
	if err != nil {
		return found, fmt.Errorf("discover resources: %w", err)
	}
	if err := each(all, func(k kind) { found.byKind[k.kind] = k }, "get"); err != nil {
		return found, err
	}
	seen := map[schema.GroupResource]bool{}
	err = each(all, func(k kind) {
		if k.kind.Kind == "Event" || seen[k.resource.GroupResource()] {
			return
		}
		seen[k.resource.GroupResource()] = true
		found.watched = append(found.watched, k)
	}, "delete", "list", "watch")
	return found, err
}

// each calls do for every resource with the verbs; subresources are none.
func each(lists []*metav1.APIResourceList, do func(kind), verbs ...string) error {
	able := discovery.SupportsAllVerbs{Verbs: verbs}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return fmt.Errorf("discovered group: %w", err)
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			resource := gv.WithResource(r.Name)
			if strings.Contains(r.Name, "/") || !able.Match(list.GroupVersion, r) {
				continue
			}
			do(kind{kind: gv.WithKind(r.Kind), resource: resource, namespaced: r.Namespaced})
		}
	}
	return nil
}

// newMonitor watches the metadata of one kind, of which only what the graph needs is kept.
func newMonitor(client metadata.Interface, resource schema.GroupVersionResource) cache.SharedIndexInformer {
	informer := metadatainformer.NewFilteredMetadataInformer(client, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	// It only fails for an informer that runs already.
	_ = informer.SetTransform(func(obj any) (any, error) {
		o, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			return obj, nil
		}
		return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion,
			OwnerReferences: o.OwnerReferences, Finalizers: o.Finalizers, DeletionTimestamp: o.DeletionTimestamp,
		}}, nil
	})
	return informer
}
