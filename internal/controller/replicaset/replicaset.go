// Package replicaset keeps as many Pods of each ReplicaSet as it asks for.
package replicaset

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/ownership"
	"github.com/mayfly-run/mayfly/internal/controller/podindex"
	"github.com/mayfly-run/mayfly/internal/controller/work"
)

const workers = 5

// Config is what the controller needs.
type Config struct {
	Client      kubernetes.Interface
	Recorder    record.EventRecorder
	ReplicaSets appsinformers.ReplicaSetInformer
	Pods        coreinformers.PodInformer
}

// Controller creates and deletes Pods.
type Controller struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	sets     appslisters.ReplicaSetLister
	pods     corelisters.PodLister
	podIndex cache.Indexer
	expected *expectations
	queue    *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, recorder: cfg.Recorder,
		sets: cfg.ReplicaSets.Lister(), pods: cfg.Pods.Lister(), podIndex: cfg.Pods.Informer().GetIndexer(),
		expected: newExpectations(),
	}
	c.queue = work.New(work.Config{Name: "replicaset", Workers: workers, Do: c.sync})
	if err := podindex.Add(cfg.Pods.Informer()); err != nil {
		return nil, err
	}
	if _, err := cfg.ReplicaSets.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch replica sets: %w", err)
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(c.podHandler()); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of replica set: %w", err)
	}
	set, err := c.sets.ReplicaSets(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		c.expected.forget(key)
		return nil
	}
	if err != nil {
		return fmt.Errorf("get replica set: %w", err)
	}
	// Asked before the Pods are read: what the cache learns in between is then counted, not awaited.
	settled := c.expected.settled(key)
	pods, err := c.claim(ctx, set)
	if err != nil {
		return err
	}
	active, terminating := split(pods)
	var failed error
	if settled && set.DeletionTimestamp == nil {
		failed = c.scale(ctx, key, set, active)
	}
	if err := c.report(ctx, set, active, terminating, failed); err != nil {
		return errors.Join(failed, err)
	}
	c.lookAgainWhenAvailable(key, set, active)
	return failed
}

// claim answers the Pods of a set.
func (c *Controller) claim(ctx context.Context, set *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	candidates, err := podindex.OfOwner(c.podIndex, set.UID)
	if err != nil {
		return nil, err
	}
	matching, err := c.pods.Pods(set.Namespace).List(selector)
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	for _, pod := range matching {
		if metav1.GetControllerOf(pod) == nil && !isOver(pod) {
			candidates = append(candidates, pod)
		}
	}
	owner := ownership.Owner{
		Object: set, Kind: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), Selector: selector,
		Live: func(ctx context.Context) (metav1.Object, error) {
			return c.client.AppsV1().ReplicaSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
		},
	}
	return ownership.Claim(ctx, owner, candidates, func(ctx context.Context, name string, patch []byte) error {
		_, err := c.client.CoreV1().Pods(set.Namespace).Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

// lookAgainWhenAvailable comes back when the next ready Pod has been ready for long enough, of which no event tells.
func (c *Controller) lookAgainWhenAvailable(key string, set *appsv1.ReplicaSet, active []*corev1.Pod) {
	minReady := time.Duration(set.Spec.MinReadySeconds) * time.Second
	if minReady == 0 {
		return
	}
	for _, pod := range active {
		since, ready := readySince(pod)
		if left := time.Until(since.Add(minReady)); ready && left > 0 {
			c.queue.AddAfter(key, left)
		}
	}
}

func isOver(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// split tells Pods that count from those on their way out; those that ended are neither.
func split(pods []*corev1.Pod) (active, terminating []*corev1.Pod) {
	for _, pod := range pods {
		switch {
		case isOver(pod):
		case pod.DeletionTimestamp != nil:
			terminating = append(terminating, pod)
		default:
			active = append(active, pod)
		}
	}
	return active, terminating
}

func matchesTemplate(set *appsv1.ReplicaSet, pod *corev1.Pod) bool {
	return labels.SelectorFromSet(set.Spec.Template.Labels).Matches(labels.Set(pod.Labels))
}
