// Package podgc removes Pods that no node agent will ever remove: those of nodes that are gone, those that were
// deleted before they had a node, and the oldest of the ended ones when there are too many.
package podgc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
	"github.com/mayfly-run/mayfly/internal/controller/work"
)

const (
	// quarantine is how long a node may be missing before its Pods are given up: it may be registered anew.
	quarantine = 40 * time.Second
	// mostEnded is how many ended Pods are kept, as upstream's --terminated-pod-gc-threshold.
	mostEnded = 12500
	// endedCheck gathers many Pods' ends into one count.
	endedCheck = 20 * time.Second
	endedKey   = "/ended"
)

// Config is what the controller needs.
type Config struct {
	Client kubernetes.Interface
	Pods   coreinformers.PodInformer
	Nodes  coreinformers.NodeInformer
}

// Controller removes Pods. Its queue's keys are names of nodes, "namespace/name" of Pods, and endedKey.
type Controller struct {
	client     kubernetes.Interface
	pods       corelisters.PodLister
	podIndex   cache.Indexer
	nodes      corelisters.NodeLister
	queue      *work.Queue
	quarantine time.Duration
	mostEnded  int
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, pods: cfg.Pods.Lister(), podIndex: cfg.Pods.Informer().GetIndexer(), nodes: cfg.Nodes.Lister(),
		quarantine: quarantine, mostEnded: mostEnded,
	}
	c.queue = work.New(work.Config{Name: "podgc", Workers: 2, Do: c.sync})
	if err := podindex.Add(cfg.Pods.Informer()); err != nil {
		return nil, err
	}
	_, err := cfg.Pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: c.podSeen, UpdateFunc: func(_, obj any) { c.podSeen(obj) }})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	_, err = cfg.Nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: c.nodeGone})
	if err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) podSeen(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil:
		c.queue.AddObject(pod)
	case isOver(pod):
		c.queue.AddAfter(endedKey, endedCheck)
	}
	if pod.Spec.NodeName != "" {
		if _, err := c.nodes.Get(pod.Spec.NodeName); apierrors.IsNotFound(err) {
			c.queue.AddAfter(pod.Spec.NodeName, c.quarantine)
		}
	}
}

func (c *Controller) nodeGone(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err == nil {
		c.queue.AddAfter(key, c.quarantine)
	}
}

func isOver(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func (c *Controller) sync(ctx context.Context, key string) error {
	if key == endedKey {
		return c.removeEnded(ctx)
	}
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if namespace == "" {
		return c.removeOrphans(ctx, name)
	}
	pod, err := c.pods.Pods(namespace).Get(name)
	if err != nil || pod.Spec.NodeName != "" || pod.DeletionTimestamp == nil {
		return nil //nolint:nilerr // The only error is that the Pod is gone.
	}
	return c.remove(ctx, pod, "PodGC: unscheduled terminating pod")
}

// removeOrphans removes the Pods of a node that does not exist, after asking the server whether that is so.
func (c *Controller) removeOrphans(ctx context.Context, node string) error {
	_, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("get node: %w", err)
	}
	pods, err := podindex.OfNode(c.podIndex, node)
	if err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods {
		errs = append(errs, c.remove(ctx, pod, "PodGC: node no longer exists"))
	}
	return errors.Join(errs...)
}

func (c *Controller) removeEnded(ctx context.Context) error {
	pods, err := c.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	ended := slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool { return !isOver(pod) })
	if len(ended) <= c.mostEnded {
		return nil
	}
	slices.SortFunc(ended, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var errs []error
	for _, pod := range ended[:len(ended)-c.mostEnded] {
		errs = append(errs, c.remove(ctx, pod, ""))
	}
	return errors.Join(errs...)
}

// remove deletes a Pod at once. One that had not ended is first marked as failed, with the reason, for its watchers.
func (c *Controller) remove(ctx context.Context, pod *corev1.Pod, reason string) error {
	if !isOver(pod) {
		if err := c.fail(ctx, pod, reason); err != nil {
			return err
		}
	}
	none := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &none, Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

func (c *Controller) fail(ctx context.Context, pod *corev1.Pod, reason string) error {
	status := map[string]any{"phase": corev1.PodFailed}
	if pod.Spec.NodeName != "" {
		status["conditions"] = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: reason,
			LastTransitionTime: metav1.Now(), ObservedGeneration: pod.Generation,
		}}
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode pod status: %w", err)
	}
	_, err = c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("patch pod status: %w", err)
	}
	return nil
}
