// Package garbage deletes what nobody owns any more: objects whose owner references all point to objects that are
// gone. It carries out the three ways to delete an owner as well: its dependents afterwards (background), before it
// (foreground), or not at all (orphan).
//
// A graph of every object's owners is kept from metadata-only watches of every kind that can be deleted. The graph
// says what to look at; what is then done is decided on the object and its owners as the server has them at that
// moment, so that a watch that lags never deletes anything.
package garbage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

const workers = 4

// Config is what the collector needs.
type Config struct {
	Discovery discovery.DiscoveryInterface
	Metadata  metadata.Interface
}

// Collector deletes objects without owners.
type Collector struct {
	client   metadata.Interface
	kinds    kinds
	graph    *graph
	monitors []cache.SharedIndexInformer
	// synced tell that the graph has all that each monitor found when it started.
	synced  []cache.DoneChecker
	deletes *work.Queue
	orphans *work.Queue
}

// New finds out which kinds there are, and returns the collector.
func New(cfg Config) (*Collector, error) {
	found, err := discoverKinds(cfg.Discovery)
	if err != nil {
		return nil, err
	}
	c := &Collector{client: cfg.Metadata, kinds: found, graph: newGraph()}
	c.deletes = work.New(work.Config{Name: "garbage", Workers: workers, Do: c.examine})
	c.orphans = work.New(work.Config{Name: "garbage-orphan", Workers: 1, Do: c.orphan})
	for _, k := range found.watched {
		if err := c.monitor(k); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	var informers sync.WaitGroup
	for _, m := range c.monitors {
		informers.Go(func() { m.RunWithContext(ctx) })
	}
	defer informers.Wait()
	// The graph must be whole: an owner whose dependents it does not know yet would be let go before them.
	if !cache.WaitFor(ctx, "", c.synced...) {
		return nil
	}
	informers.Go(func() { _ = c.orphans.Run(ctx) })
	return c.deletes.Run(ctx)
}

// monitor keeps the graph up to date with one kind.
func (c *Collector) monitor(k kind) error {
	informer := newMonitor(c.client, k.resource)
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.seen(k, obj) },
		UpdateFunc: func(before, obj any) {
			// A deletion and a creation that the watch missed look like one update.
			if old, ok := before.(*metav1.PartialObjectMetadata); ok && uidOf(obj) != old.UID {
				c.gone(old)
			}
			c.seen(k, obj)
		},
		DeleteFunc: func(obj any) { c.gone(obj) },
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", k.resource, err)
	}
	c.monitors = append(c.monitors, informer)
	c.synced = append(c.synced, registration.HasSyncedChecker())
	return nil
}

func (c *Collector) seen(k kind, obj any) {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		slog.Error("garbage collector got an unknown object", "type", fmt.Sprintf("%T", obj))
		return
	}
	for _, uid := range c.graph.put(newNode(k, o)) {
		c.deletes.Add(string(uid))
	}
	if o.DeletionTimestamp != nil && has(o, metav1.FinalizerOrphanDependents) {
		c.orphans.Add(string(o.UID))
	}
}

func (c *Collector) gone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	for _, uid := range c.graph.remove(o.UID) {
		c.deletes.Add(string(uid))
	}
}

func uidOf(obj any) types.UID {
	if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return o.UID
	}
	return ""
}

// resourceOf is a client for the objects of a kind in a namespace, which is ignored where the kind has none.
func (c *Collector) resourceOf(k kind, namespace string) metadata.ResourceInterface {
	r := c.client.Resource(k.resource)
	if k.namespaced {
		return r.Namespace(namespace)
	}
	return r
}

// kind is one kind of object that can be deleted.
type kind struct {
	kind       schema.GroupVersionKind
	resource   schema.GroupVersionResource
	namespaced bool
}

// node is one object in the graph.
type node struct {
	kind            kind
	namespace, name string
	uid             types.UID
	owners          []metav1.OwnerReference
	// foreground says that the object waits for its dependents to be deleted.
	foreground bool
	deleting   bool
}

func newNode(k kind, o *metav1.PartialObjectMetadata) *node {
	return &node{
		kind: k, namespace: o.Namespace, name: o.Name, uid: o.UID, owners: o.OwnerReferences,
		deleting:   o.DeletionTimestamp != nil,
		foreground: o.DeletionTimestamp != nil && has(o, metav1.FinalizerDeleteDependents),
	}
}

func has(o metav1.Object, finalizer string) bool {
	return slices.Contains(o.GetFinalizers(), finalizer)
}
