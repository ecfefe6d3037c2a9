package garbage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// orphan lets go of all dependents of an object, and then of the object.
func (c *Collector) orphan(ctx context.Context, key string) error {
	n := c.graph.get(types.UID(key))
	if n == nil {
		return nil
	}
	live, err := c.live(ctx, n)
	if err != nil || live == nil || live.DeletionTimestamp == nil {
		return err
	}
	var errs []error
	for _, dependent := range c.graph.dependentsOf(n.uid) {
		errs = append(errs, c.letGo(ctx, dependent, n.uid))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.dropFinalizer(ctx, n, live, metav1.FinalizerOrphanDependents)
}

// letGo takes one owner off a dependent.
func (c *Collector) letGo(ctx context.Context, dependent *node, owner types.UID) error {
	live, err := c.live(ctx, dependent)
	if err != nil || live == nil {
		return err
	}
	return c.dropOwners(ctx, dependent, live, slices.DeleteFunc(slices.Clone(live.OwnerReferences), func(o metav1.OwnerReference) bool {
		return o.UID != owner
	}))
}

// dropOwners takes owner references off an object.
func (c *Collector) dropOwners(ctx context.Context, n *node, live *metav1.PartialObjectMetadata, owners []metav1.OwnerReference) error {
	if len(owners) == 0 {
		return nil
	}
	left := []metav1.OwnerReference{}
	for _, o := range live.OwnerReferences {
		if !slices.ContainsFunc(owners, func(drop metav1.OwnerReference) bool { return drop.UID == o.UID }) {
			left = append(left, o)
		}
	}
	return c.patch(ctx, n, live, "ownerReferences", left)
}

// dropFinalizer takes a finalizer off an object.
func (c *Collector) dropFinalizer(ctx context.Context, n *node, live *metav1.PartialObjectMetadata, finalizer string) error {
	left := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == finalizer })
	if len(left) == len(live.Finalizers) {
		return nil
	}
	return c.patch(ctx, n, live, "finalizers", left)
}

// patch sets a list of the metadata, by a merge patch since every kind can be patched so, and only if the object has
// not changed meanwhile.
func (c *Collector) patch(ctx context.Context, n *node, live *metav1.PartialObjectMetadata, field string, value any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion, field: value,
	}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = c.resourceOf(n.kind, n.namespace).Patch(ctx, n.name, types.MergePatchType, body, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patch %s of %s %s/%s: %w", field, n.kind.resource.Resource, n.namespace, n.name, err)
	}
	return nil
}
