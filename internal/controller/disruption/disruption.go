// Package disruption keeps the status of PodDisruptionBudgets: how many of their Pods may be evicted now. The eviction
// subresource of the API server spends what is written here.
package disruption

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	policyinformers "k8s.io/client-go/informers/policy/v1"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/apps/poddisruptionbudget"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// evictionLife is how long an eviction that was granted is awaited before it counts as not carried out.
const evictionLife = 2 * time.Minute

// Config is what the controller needs.
type Config struct {
	Client      kubernetes.Interface
	Recorder    record.EventRecorder
	Budgets     policyinformers.PodDisruptionBudgetInformer
	Pods        coreinformers.PodInformer
	ReplicaSets appslisters.ReplicaSetLister
	Deployments appslisters.DeploymentLister
}

// Controller counts healthy Pods.
type Controller struct {
	client      kubernetes.Interface
	recorder    record.EventRecorder
	budgets     policylisters.PodDisruptionBudgetLister
	pods        corelisters.PodLister
	sets        appslisters.ReplicaSetLister
	deployments appslisters.DeploymentLister
	queue       *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, recorder: cfg.Recorder, budgets: cfg.Budgets.Lister(), pods: cfg.Pods.Lister(),
		sets: cfg.ReplicaSets, deployments: cfg.Deployments,
	}
	c.queue = work.New(work.Config{Name: "disruption", Do: c.sync})
	if _, err := cfg.Budgets.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch disruption budgets: %w", err)
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(c.podHandler()); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: c.addBudgetsOf,
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Pod)
			pod, ok := after.(*corev1.Pod)
			if !ok || !okOld {
				return
			}
			if !equality.Semantic.DeepEqual(old.Labels, pod.Labels) {
				c.addBudgetsOf(old)
			}
			c.addBudgetsOf(pod)
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			c.addBudgetsOf(obj)
		},
	}
}

func (c *Controller) addBudgetsOf(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	budgets, err := c.budgets.PodDisruptionBudgets(pod.Namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, b := range budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			c.queue.AddObject(b)
		}
	}
}

func (c *Controller) sync(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of disruption budget: %w", err)
	}
	cached, err := c.budgets.PodDisruptionBudgets(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get disruption budget: %w", err)
	}
	b := cached.DeepCopy()
	pods, err := c.podsOf(b)
	if err != nil {
		return err
	}
	again := c.assess(b, pods, time.Now())
	if again > 0 {
		c.queue.AddAfter(key, again)
	}
	if equality.Semantic.DeepEqual(b.Status, cached.Status) {
		return nil
	}
	if _, err := c.client.PolicyV1().PodDisruptionBudgets(namespace).UpdateStatus(ctx, b, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update disruption budget status: %w", err)
	}
	return nil
}

func (c *Controller) podsOf(b *policyv1.PodDisruptionBudget) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	pods, err := c.pods.Pods(b.Namespace).List(selector)
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return pods, nil
}

// assess works the status out, and says when to look again at evictions that are under way.
func (c *Controller) assess(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, now time.Time) time.Duration {
	if len(pods) == 0 {
		c.recorder.Event(b, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	expected, desired, err := c.demand(b, pods)
	if err != nil {
		// Nothing may go while it is not known how much must stay.
		c.recorder.Eventf(b, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
		b.Status.DisruptionsAllowed = 0
		b.Status.ObservedGeneration = b.Generation
		apimeta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason,
			Message: err.Error(), ObservedGeneration: b.Generation,
		})
		return 0
	}
	underWay, again := evictionsUnderWay(b, pods, now)
	healthy := countHealthy(pods, underWay)
	b.Status.CurrentHealthy, b.Status.DesiredHealthy, b.Status.ExpectedPods = healthy, desired, expected
	b.Status.DisruptedPods = underWay
	b.Status.DisruptionsAllowed = max(healthy-desired, 0)
	if expected <= 0 {
		b.Status.DisruptionsAllowed = 0
	}
	b.Status.ObservedGeneration = b.Generation
	poddisruptionbudget.UpdateDisruptionAllowedCondition(b)
	return again
}

// evictionsUnderWay keeps the evictions that were granted and that the Pods do not show yet.
func evictionsUnderWay(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, now time.Time) (map[string]metav1.Time, time.Duration) {
	underWay := map[string]metav1.Time{}
	var again time.Duration
	for _, pod := range pods {
		granted, ok := b.Status.DisruptedPods[pod.Name]
		if !ok || pod.DeletionTimestamp != nil {
			continue
		}
		left := granted.Add(evictionLife).Sub(now)
		if left <= 0 {
			continue
		}
		underWay[pod.Name] = granted
		if again == 0 || left < again {
			again = left
		}
	}
	if len(underWay) == 0 {
		return nil, 0
	}
	return underWay, again
}

func countHealthy(pods []*corev1.Pod, underWay map[string]metav1.Time) int32 {
	var healthy int32
	for _, pod := range pods {
		if _, leaving := underWay[pod.Name]; leaving || pod.DeletionTimestamp != nil {
			continue
		}
		for _, cond := range pod.Status.Conditions {
			if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
				healthy++
			}
		}
	}
	return healthy
}
