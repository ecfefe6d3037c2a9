package garbage

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// standing is what an object's owner references come to.
type standing struct {
	// solid owners exist, dangling ones do not, waiting ones are being deleted in the foreground.
	solid, dangling, waiting []metav1.OwnerReference
}

// examine decides about one object, whose UID is the key.
func (c *Collector) examine(ctx context.Context, key string) error {
	n := c.graph.get(types.UID(key))
	if n == nil {
		return nil
	}
	live, err := c.live(ctx, n)
	if err != nil || live == nil {
		return err
	}
	if live.DeletionTimestamp != nil {
		if has(live, metav1.FinalizerDeleteDependents) {
			return c.deleteDependents(ctx, n, live)
		}
		return nil
	}
	if len(live.OwnerReferences) == 0 {
		return nil
	}
	s, err := c.standing(ctx, n, live.OwnerReferences)
	if err != nil {
		return err
	}
	switch {
	case len(s.solid) > 0:
		return c.dropOwners(ctx, n, live, append(s.dangling, s.waiting...))
	case len(s.waiting) > 0 && len(c.graph.dependentsOf(n.uid)) > 0:
		return c.deleteInForeground(ctx, n, live)
	}
	return c.delete(ctx, n, live, policyOf(live))
}

// live is the object as the server has it; nil when it is gone or another one has its name.
func (c *Collector) live(ctx context.Context, n *node) (*metav1.PartialObjectMetadata, error) {
	live, err := c.resourceOf(n.kind, n.namespace).Get(ctx, n.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.UID != n.uid {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s/%s: %w", n.kind.resource.Resource, n.namespace, n.name, err)
	}
	return live, nil
}

func (c *Collector) standing(ctx context.Context, n *node, owners []metav1.OwnerReference) (standing, error) {
	var s standing
	for _, owner := range owners {
		o, known, err := c.liveOwner(ctx, n, owner)
		switch {
		case err != nil:
			return s, err
		case !known:
			// Of a kind that is not served nobody can say that it is gone.
			s.solid = append(s.solid, owner)
		case o == nil:
			s.dangling = append(s.dangling, owner)
		case o.DeletionTimestamp != nil && has(o, metav1.FinalizerDeleteDependents):
			s.waiting = append(s.waiting, owner)
		default:
			s.solid = append(s.solid, owner)
		}
	}
	return s, nil
}

// liveOwner finds an owner on the server. It is nil when gone; known is false when its kind cannot be looked up.
func (c *Collector) liveOwner(ctx context.Context, n *node, owner metav1.OwnerReference) (o *metav1.PartialObjectMetadata, known bool, err error) {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return nil, false, nil //nolint:nilerr // A reference that cannot be read points to a kind that is not served.
	}
	k, ok := c.kinds.find(gv.WithKind(owner.Kind))
	if !ok || k.namespaced && !n.kind.namespaced {
		return nil, false, nil
	}
	o, err = c.resourceOf(k, n.namespace).Get(ctx, owner.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && o.UID != owner.UID {
		return nil, true, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("get owner %s %s: %w", owner.Kind, owner.Name, err)
	}
	return o, true, nil
}

// deleteDependents brings a foreground deletion on: while dependents block it they are examined, then it may end.
func (c *Collector) deleteDependents(ctx context.Context, n *node, live *metav1.PartialObjectMetadata) error {
	if len(c.graph.blockersOf(n.uid)) == 0 {
		return c.dropFinalizer(ctx, n, live, metav1.FinalizerDeleteDependents)
	}
	for _, dependent := range c.graph.dependentsOf(n.uid) {
		if !dependent.deleting {
			c.deletes.Add(string(dependent.uid))
		}
	}
	return nil
}

// deleteInForeground deletes an object whose owner waits for it, its own dependents first. Where two such wait for
// each other, this one is let go.
func (c *Collector) deleteInForeground(ctx context.Context, n *node, live *metav1.PartialObjectMetadata) error {
	for _, dependent := range c.graph.dependentsOf(n.uid) {
		if dependent.foreground {
			return c.delete(ctx, n, live, metav1.DeletePropagationBackground)
		}
	}
	return c.delete(ctx, n, live, metav1.DeletePropagationForeground)
}

// policyOf keeps to what an earlier deletion of the object asked for.
func policyOf(live *metav1.PartialObjectMetadata) metav1.DeletionPropagation {
	switch {
	case has(live, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case has(live, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// delete removes exactly the object that was judged: one that changed since is judged again.
func (c *Collector) delete(ctx context.Context, n *node, live *metav1.PartialObjectMetadata, policy metav1.DeletionPropagation) error {
	err := c.resourceOf(n.kind, n.namespace).Delete(ctx, n.name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion},
		PropagationPolicy: &policy,
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s/%s: %w", n.kind.resource.Resource, n.namespace, n.name, err)
	}
	return nil
}
