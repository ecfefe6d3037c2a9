package deployment

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

func (c *Controller) setHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if set, ok := obj.(*appsv1.ReplicaSet); ok {
				c.setSeen(set)
			}
		},
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*appsv1.ReplicaSet)
			set, ok := after.(*appsv1.ReplicaSet)
			if !ok || !okOld {
				return
			}
			if was := metav1.GetControllerOf(old); was != nil {
				c.addOwner(old.Namespace, was)
			}
			c.setSeen(set)
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if set, ok := obj.(*appsv1.ReplicaSet); ok {
				if owner := metav1.GetControllerOf(set); owner != nil {
					c.addOwner(set.Namespace, owner)
				}
			}
		},
	}
}

func (c *Controller) setSeen(set *appsv1.ReplicaSet) {
	if owner := metav1.GetControllerOf(set); owner != nil {
		c.addOwner(set.Namespace, owner)
		return
	}
	deployments, err := c.deployments.Deployments(set.Namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, d := range deployments {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(set.Labels)) {
			c.queue.AddObject(d)
		}
	}
}

func (c *Controller) addOwner(namespace string, owner *metav1.OwnerReference) {
	if owner.Kind != "Deployment" {
		return
	}
	d, err := c.deployments.Deployments(namespace).Get(owner.Name)
	if err == nil && d.UID == owner.UID {
		c.queue.AddObject(d)
	}
}

// podGone goes on with a Recreate that waits for the last of the old Pods.
func (c *Controller) podGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	ref := metav1.GetControllerOf(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return
	}
	set, err := c.sets.ReplicaSets(pod.Namespace).Get(ref.Name)
	if err != nil || set.UID != ref.UID {
		return
	}
	if owner := metav1.GetControllerOf(set); owner != nil {
		c.addOwner(set.Namespace, owner)
	}
}
