package replicaset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

func (c *Controller) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if pod, ok := obj.(*corev1.Pod); ok {
				c.podAdded(pod)
			}
		},
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Pod)
			pod, ok := after.(*corev1.Pod)
			if ok && okOld {
				c.podChanged(old, pod)
			}
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if pod, ok := obj.(*corev1.Pod); ok {
				c.podGone(pod)
			}
		},
	}
}

func (c *Controller) podAdded(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil {
		c.podGone(pod)
		return
	}
	if ref := metav1.GetControllerOf(pod); ref != nil {
		if key := c.ownerKey(pod.Namespace, ref); key != "" {
			c.expected.created(key)
			c.queue.Add(key)
		}
		return
	}
	c.addMatching(pod)
}

func (c *Controller) podChanged(old, pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil {
		c.podGone(pod)
	}
	ref, oldRef := metav1.GetControllerOf(pod), metav1.GetControllerOf(old)
	if oldRef != nil && (ref == nil || ref.UID != oldRef.UID) {
		if key := c.ownerKey(old.Namespace, oldRef); key != "" {
			c.queue.Add(key)
		}
	}
	switch {
	case ref != nil:
		if key := c.ownerKey(pod.Namespace, ref); key != "" {
			c.queue.Add(key)
		}
	case oldRef != nil || !equality.Semantic.DeepEqual(old.Labels, pod.Labels):
		c.addMatching(pod)
	}
}

func (c *Controller) podGone(pod *corev1.Pod) {
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		return
	}
	if key := c.ownerKey(pod.Namespace, ref); key != "" {
		c.expected.deleted(key, pod.UID)
		c.queue.Add(key)
	}
}

// ownerKey answers the key of the ReplicaSet that a reference means, or "" when there is none.
func (c *Controller) ownerKey(namespace string, ref *metav1.OwnerReference) string {
	if ref.Kind != "ReplicaSet" {
		return ""
	}
	set, err := c.sets.ReplicaSets(namespace).Get(ref.Name)
	if err != nil || set.UID != ref.UID {
		return ""
	}
	return cache.MetaObjectToName(set).String()
}

// addMatching asks every set that could adopt an orphan.
func (c *Controller) addMatching(pod *corev1.Pod) {
	sets, err := c.sets.ReplicaSets(pod.Namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, set := range sets {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.Labels)) {
			c.queue.AddObject(set)
		}
	}
}
