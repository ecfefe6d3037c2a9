package scheduler

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/cache"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
)

func (s *Scheduler) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if pod, ok := obj.(*corev1.Pod); ok {
				s.podSeen(nil, pod)
			}
		},
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Pod)
			pod, ok := after.(*corev1.Pod)
			if ok && okOld {
				s.podSeen(old, pod)
			}
		},
		DeleteFunc: s.podGone,
	}
}

// podSeen takes up a Pod that wants a node, and tries the waiting ones again when a bound Pod changed in their favour.
func (s *Scheduler) podSeen(old, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		if wantsNode(pod) && (old == nil || placementChanged(old, pod)) {
			s.queue.AddObject(pod)
		}
		return
	}
	s.unassume(pod.UID)
	switch {
	case isOver(pod) && (old == nil || !isOver(old)), old != nil && requestsChanged(old, pod):
		s.retryWaiting(everyPod)
	case old == nil, old.Spec.NodeName == "", !equality.Semantic.DeepEqual(old.Labels, pod.Labels):
		// One more Pod helps nobody but those that want to be near it, or evenly spread.
		s.retryWaiting(needsCompany)
	}
}

func (s *Scheduler) podGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		s.retryWaiting(everyPod)
		return
	}
	s.unassume(pod.UID)
	s.forget(cache.MetaObjectToName(pod).String())
	if pod.Spec.NodeName != "" {
		s.retryWaiting(everyPod)
	}
}

// placementChanged tells whether an unbound Pod changed in anything but its status.
func placementChanged(old, pod *corev1.Pod) bool {
	return old.UID != pod.UID || !equality.Semantic.DeepEqual(old.Spec, pod.Spec) || !equality.Semantic.DeepEqual(old.Labels, pod.Labels)
}

// requestsChanged tells whether a bound Pod may take less of its node than before.
func requestsChanged(old, pod *corev1.Pod) bool {
	return !equality.Semantic.DeepEqual(requests(old), requests(pod))
}

func everyPod(*corev1.Pod) bool { return true }

func needsCompany(pod *corev1.Pod) bool {
	return pod.Spec.Affinity != nil && pod.Spec.Affinity.PodAffinity != nil || len(pod.Spec.TopologySpreadConstraints) > 0
}

func (s *Scheduler) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.retryWaiting(everyPod) },
		UpdateFunc: func(before, after any) {
			old, okOld := before.(*corev1.Node)
			node, ok := after.(*corev1.Node)
			if ok && okOld && nodeChanged(old, node) {
				s.retryWaiting(everyPod)
			}
		},
		DeleteFunc: func(any) { s.retryWaiting(everyPod) },
	}
}

// nodeChanged tells whether a node changed in what placement depends on; most updates are heartbeats.
func nodeChanged(old, node *corev1.Node) bool {
	return old.Spec.Unschedulable != node.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(old.Status.Allocatable, node.Status.Allocatable) ||
		!equality.Semantic.DeepEqual(old.Labels, node.Labels) ||
		!equality.Semantic.DeepEqual(taints(old), taints(node))
}

func (s *Scheduler) namespaceHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{UpdateFunc: func(before, after any) {
		old, okOld := before.(*corev1.Namespace)
		ns, ok := after.(*corev1.Namespace)
		if ok && okOld && !equality.Semantic.DeepEqual(old.Labels, ns.Labels) {
			s.retryWaiting(needsCompany)
		}
	}}
}

// retryWaiting queues the waiting Pods that are wanted: the most important first, and of those the oldest.
func (s *Scheduler) retryWaiting(wanted func(*corev1.Pod) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return
	}
	pods := make([]*corev1.Pod, 0, len(s.waiting))
	for key := range s.waiting {
		obj, exists, err := s.podIndex.GetByKey(key)
		pod, ok := obj.(*corev1.Pod)
		if err == nil && exists && ok && wanted(pod) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(corev1helpers.PodPriority(b), corev1helpers.PodPriority(a)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		)
	})
	for _, pod := range pods {
		s.queue.AddObject(pod)
	}
}
