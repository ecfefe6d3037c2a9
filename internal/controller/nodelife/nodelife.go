// Package nodelife tells nodes that are gone from those that live, and frees the Pods of the former.
//
// A node lives while it renews its Lease, or posts its status. When it does neither for the grace period, its
// conditions become Unknown. Taints follow the conditions: NoSchedule at once, and NoExecute where the node cannot run
// Pods; Pods that do not tolerate the latter, or no longer, are evicted (evict.go).
//
// How long a node has been silent is measured by this process's clock, from when it last saw a sign of life: clocks
// of other machines do not matter, and a restart gives every node a full grace period.
package nodelife

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// gracePeriod is how long a node may be silent, as upstream's --node-monitor-grace-period.
const gracePeriod = 50 * time.Second

// Config is what the controller needs.
type Config struct {
	Client   kubernetes.Interface
	Recorder record.EventRecorder
	Nodes    coreinformers.NodeInformer
	Leases   coordinationinformers.LeaseInformer
	Pods     coreinformers.PodInformer
	// OwnNode is the node of this process: its agent lives and dies with this controller.
	OwnNode string
}

// Controller keeps the conditions and taints of nodes.
type Controller struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	nodes    corelisters.NodeLister
	pods     corelisters.PodLister
	podIndex cache.Indexer
	ownNode  string
	queue    *work.Queue
	evicting *work.Queue
	now      func() time.Time

	mu sync.Mutex
	// seen is when each node last gave a sign of life.
	seen map[string]time.Time
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, recorder: cfg.Recorder, ownNode: cfg.OwnNode,
		nodes: cfg.Nodes.Lister(), pods: cfg.Pods.Lister(), podIndex: cfg.Pods.Informer().GetIndexer(),
		now: time.Now, seen: map[string]time.Time{},
	}
	c.queue = work.New(work.Config{Name: "nodelife", Workers: 2, Do: c.sync})
	c.evicting = work.New(work.Config{Name: "taint-eviction", Workers: 4, Do: c.evict})
	if err := podindex.Add(cfg.Pods.Informer()); err != nil {
		return nil, err
	}
	if _, err := cfg.Nodes.Informer().AddEventHandler(c.nodeHandler()); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	if _, err := cfg.Leases.Informer().AddEventHandler(c.leaseHandler()); err != nil {
		return nil, fmt.Errorf("watch leases: %w", err)
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(c.podHandler()); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	var evicting sync.WaitGroup
	evicting.Go(func() { _ = c.evicting.Run(ctx) })
	defer evicting.Wait()
	return c.queue.Run(ctx)
}

func (c *Controller) sync(ctx context.Context, name string) error {
	node, err := c.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		c.forget(name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("get node: %w", err)
	}
	silentAfter := c.lastSeen(name).Add(gracePeriod)
	if left := silentAfter.Sub(c.now()); left > 0 || name == c.ownNode {
		c.queue.AddAfter(name, max(left, time.Second))
	} else if node, err = c.markUnknown(ctx, node); err != nil {
		return err
	}
	if err := c.taint(ctx, node); err != nil {
		return err
	}
	if ready, _ := readiness(node); ready != corev1.ConditionTrue {
		return c.markPodsNotReady(ctx, node)
	}
	return nil
}

func (c *Controller) lastSeen(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.seen[name]
	if !ok {
		t = c.now()
		c.seen[name] = t
	}
	return t
}

func (c *Controller) sawLife(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[name] = c.now()
}

func (c *Controller) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, name)
}

func (c *Controller) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if node, ok := obj.(*corev1.Node); ok {
				c.lastSeen(node.Name)
				c.queue.Add(node.Name)
				c.evictFrom(node)
			}
		},
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Node)
			node, ok := after.(*corev1.Node)
			if !ok || !okOld {
				return
			}
			if heartbeat(node).After(heartbeat(old)) {
				c.sawLife(node.Name)
			}
			if !equality.Semantic.DeepEqual(old.Spec, node.Spec) || !equality.Semantic.DeepEqual(old.Status.Conditions, node.Status.Conditions) {
				c.queue.Add(node.Name)
			}
			if !equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints) {
				c.evictFrom(node)
			}
		},
		DeleteFunc: c.queue.AddObject,
	}
}

// heartbeat is the newest time at which the node itself said that it is ready or not; what this controller writes
// does not move it.
func heartbeat(node *corev1.Node) time.Time {
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.LastHeartbeatTime.Time
		}
	}
	return time.Time{}
}

func (c *Controller) leaseHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*coordinationv1.Lease)
			lease, ok := after.(*coordinationv1.Lease)
			if ok && okOld && lease.Namespace == corev1.NamespaceNodeLease && !lease.Spec.RenewTime.Equal(old.Spec.RenewTime) {
				c.sawLife(lease.Name)
			}
		},
	}
}
