package namespace

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// collection is one kind of object that a namespace may hold.
type collection struct {
	resource schema.GroupVersionResource
	// atOnce says whether the server can delete the whole collection with one request.
	atOnce bool
}

// empty deletes what the namespace holds and answers what is still there.
func (d *Deletion) empty(ctx context.Context, ns *corev1.Namespace) *remainder {
	left := newRemainder()
	collections := d.discover(left)
	for i, c := range collections {
		if c.resource == corev1.SchemeGroupVersion.WithResource("pods") {
			d.clear(ctx, ns.Name, c, left)
			collections = append(collections[:i], collections[i+1:]...)
			break
		}
	}
	if left.any() || len(left.deletion) > 0 {
		return left
	}
	for _, c := range collections {
		d.clear(ctx, ns.Name, c, left)
	}
	return left
}

// discover finds every kind that a namespace can hold and that can be deleted, in one version of each.
func (d *Deletion) discover(left *remainder) []collection {
	_, lists, err := d.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		left.discovery = append(left.discovery, err)
	}
	deletable := discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}
	var found []collection
	seen := map[schema.GroupResource]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			left.parsing = append(left.parsing, err)
			continue
		}
		for _, r := range list.APIResources {
			resource := gv.WithResource(r.Name)
			if !r.Namespaced || seen[resource.GroupResource()] || !deletable.Match(list.GroupVersion, &r) {
				continue
			}
			seen[resource.GroupResource()] = true
			atOnce := discovery.SupportsAllVerbs{Verbs: []string{"deletecollection"}}.Match(list.GroupVersion, &r)
			found = append(found, collection{resource, atOnce})
		}
	}
	return found
}

// clear deletes one collection and counts what is left of it.
func (d *Deletion) clear(ctx context.Context, namespace string, c collection, left *remainder) {
	client := d.metadata.Resource(c.resource).Namespace(namespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		left.failed(c.resource, ignoreUnsupported(err))
		return
	}
	if len(list.Items) == 0 {
		return
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if c.atOnce {
		left.failed(c.resource, ignoreUnsupported(client.DeleteCollection(ctx, options, metav1.ListOptions{})))
	} else {
		for i := range list.Items {
			if err := client.Delete(ctx, list.Items[i].Name, options); err != nil && !apierrors.IsNotFound(err) {
				left.failed(c.resource, err)
			}
		}
	}
	if list, err = client.List(ctx, metav1.ListOptions{}); err != nil {
		left.failed(c.resource, ignoreUnsupported(err))
		return
	}
	left.count(c.resource, list.Items)
}

// ignoreUnsupported passes over collections that turned out not to be listable or deletable.
func ignoreUnsupported(err error) error {
	if apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// remainder is what emptying a namespace left, and what went wrong.
type remainder struct {
	discovery, parsing, deletion []error
	instances                    map[string]int
	finalizers                   map[string]int
}

func newRemainder() *remainder {
	return &remainder{instances: map[string]int{}, finalizers: map[string]int{}}
}

func (r *remainder) any() bool { return len(r.instances) > 0 }

func (r *remainder) failed(resource schema.GroupVersionResource, err error) {
	if err != nil {
		r.deletion = append(r.deletion, fmt.Errorf("%s: %w", resource.GroupResource(), err))
	}
}

func (r *remainder) count(resource schema.GroupVersionResource, items []metav1.PartialObjectMetadata) {
	if len(items) == 0 {
		return
	}
	r.instances[resource.GroupResource().String()] += len(items)
	for i := range items {
		for _, f := range items[i].Finalizers {
			r.finalizers[f]++
		}
	}
}
