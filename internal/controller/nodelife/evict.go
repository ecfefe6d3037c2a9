package nodelife

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
)

// defaultToleration is how long a Pod that says nothing of it stays on a node that is not ready or not reachable.
// The admission plugin DefaultTolerationSeconds writes the same into Pods where it is on.
const defaultToleration = 300 * time.Second

func (c *Controller) podHandler() cache.ResourceEventHandler {
	look := func(obj any) {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil {
			return
		}
		if node, err := c.nodes.Get(pod.Spec.NodeName); err == nil && len(noExecute(node)) > 0 {
			c.evicting.AddObject(pod)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, obj any) { look(obj) }}
}

// evictFrom looks at every Pod of a node with taints that may drive them away.
func (c *Controller) evictFrom(node *corev1.Node) {
	if len(noExecute(node)) == 0 {
		return
	}
	pods, err := podindex.OfNode(c.podIndex, node.Name)
	if err != nil {
		return
	}
	for _, pod := range pods {
		c.evicting.AddObject(pod)
	}
}

func noExecute(node *corev1.Node) []corev1.Taint {
	var taints []corev1.Taint
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			taints = append(taints, t)
		}
	}
	return taints
}

// evict deletes a Pod whose tolerations of its node's taints have run out, or comes back when they will have.
func (c *Controller) evict(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of pod: %w", err)
	}
	pod, err := c.pods.Pods(namespace).Get(name)
	if err != nil || pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		return ignoreNotFound(err)
	}
	node, err := c.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return ignoreNotFound(err)
	}
	left, forever := tolerated(pod, noExecute(node), c.now())
	switch {
	case forever:
		return nil
	case left > 0:
		c.evicting.AddAfter(key, left)
		return nil
	}
	return c.deletePod(ctx, pod)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// tolerated is how long a Pod may still stay under the taints; forever when none of them ends its stay.
func tolerated(pod *corev1.Pod, taints []corev1.Taint, now time.Time) (left time.Duration, forever bool) {
	forever = true
	for _, taint := range taints {
		stay, always := toleration(pod, taint)
		if always {
			continue
		}
		since := now
		if taint.TimeAdded != nil {
			since = taint.TimeAdded.Time
		}
		remaining := since.Add(stay).Sub(now)
		if forever || remaining < left {
			left = remaining
		}
		forever = false
	}
	return left, forever
}

// toleration is how long a Pod tolerates one taint: the shortest that a matching toleration says.
func toleration(pod *corev1.Pod, taint corev1.Taint) (stay time.Duration, always bool) {
	matched := false
	for i := range pod.Spec.Tolerations {
		t := &pod.Spec.Tolerations[i]
		if !t.ToleratesTaint(klog.Background(), &taint, true) {
			continue
		}
		if t.TolerationSeconds == nil {
			if !matched {
				always = true
			}
			matched = true
			continue
		}
		seconds := time.Duration(max(*t.TolerationSeconds, 0)) * time.Second
		if !matched || always || seconds < stay {
			stay, always = seconds, false
		}
		matched = true
	}
	if !matched && (taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable) {
		return defaultToleration, false
	}
	return stay, always
}

func (c *Controller) deletePod(ctx context.Context, pod *corev1.Pod) error {
	c.recorder.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
	err := c.patchPodCondition(ctx, pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager",
		Message:            "Taint manager: deleting due to NoExecute taint",
		LastTransitionTime: metav1.NewTime(c.now()), ObservedGeneration: pod.Generation,
	})
	if err != nil {
		return err
	}
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	err = c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("evict pod: %w", err)
	}
	return nil
}
