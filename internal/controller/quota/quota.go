// Package quota keeps the status of ResourceQuotas: how much of each limited thing its namespace uses. The admission
// plugin of the API server refuses what would go beyond.
package quota

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

const (
	// gather is for how long changes of Pods are gathered into one count.
	gather = 100 * time.Millisecond
	// recount is when objects are counted again of which no event is watched, and when new Pods are, which admission has
	// counted already.
	recount = 30 * time.Second
)

// Config is what the controller needs.
type Config struct {
	Client   kubernetes.Interface
	Metadata metadata.Interface
	Quotas   coreinformers.ResourceQuotaInformer
	Pods     coreinformers.PodInformer
}

// Controller counts what is used.
type Controller struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	quotas   corelisters.ResourceQuotaLister
	pods     corelisters.PodLister
	queue    *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{client: cfg.Client, metadata: cfg.Metadata, quotas: cfg.Quotas.Lister(), pods: cfg.Pods.Lister()}
	c.queue = work.New(work.Config{Name: "quota", Workers: 2, Do: c.sync})
	quotas := cache.ResourceEventHandlerFuncs{AddFunc: c.queue.AddObject, UpdateFunc: func(before, after any) {
		old, okOld := before.(*corev1.ResourceQuota)
		if q, ok := after.(*corev1.ResourceQuota); ok && okOld && asksForCount(old, q) {
			c.queue.AddObject(q)
		}
	}}
	if _, err := cfg.Quotas.Informer().AddEventHandler(quotas); err != nil {
		return nil, fmt.Errorf("watch quotas: %w", err)
	}
	pods := cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.podChanged(obj, recount) }, DeleteFunc: func(obj any) { c.podChanged(obj, gather) },
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Pod)
			pod, ok := after.(*corev1.Pod)
			if ok && okOld && (isOver(old) != isOver(pod) || !equality.Semantic.DeepEqual(old.Spec, pod.Spec)) {
				c.podChanged(pod, gather)
			}
		},
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(pods); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

// asksForCount tells an update that changes what is limited from one by which admission counts what it lets pass. To count
// at once after the latter would take back what it counted, since the new object is not to be seen yet.
func asksForCount(old, q *corev1.ResourceQuota) bool {
	return !equality.Semantic.DeepEqual(old.Spec, q.Spec) || !equality.Semantic.DeepEqual(q.Spec.Hard, q.Status.Hard)
}

// podChanged has the Pod's quotas counted after a while.
func (c *Controller) podChanged(obj any, after time.Duration) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return
	}
	namespace, _, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return
	}
	quotas, err := c.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, q := range quotas {
		c.queue.AddAfter(cache.MetaObjectToName(q).String(), after)
	}
}

func (c *Controller) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of quota: %w", err)
	}
	cached, err := c.quotas.ResourceQuotas(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get quota: %w", err)
	}
	used, counted, err := c.usage(ctx, cached)
	if err != nil {
		return err
	}
	if counted {
		c.queue.AddAfter(key, recount)
	}
	if equality.Semantic.DeepEqual(cached.Status.Used, used) && equality.Semantic.DeepEqual(cached.Status.Hard, cached.Spec.Hard) {
		return nil
	}
	q := cached.DeepCopy()
	q.Status = corev1.ResourceQuotaStatus{Hard: cached.Spec.Hard.DeepCopy(), Used: used}
	if _, err := c.client.CoreV1().ResourceQuotas(namespace).UpdateStatus(ctx, q, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update quota status: %w", err)
	}
	return nil
}

func isOver(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
