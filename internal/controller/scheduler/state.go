package scheduler

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
)

// wantsNode tells whether a Pod is this scheduler's to bind, now.
func wantsNode(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" &&
		(pod.Spec.SchedulerName == corev1.DefaultSchedulerName || pod.Spec.SchedulerName == "") &&
		pod.DeletionTimestamp == nil && !isOver(pod) && len(pod.Spec.SchedulingGates) == 0
}

// isOver tells whether a Pod needs nothing of its node any more.
func isOver(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func (s *Scheduler) assume(pod *corev1.Pod, node string) {
	bound := *pod
	bound.Spec.NodeName = node
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assumed[pod.UID] = &bound
}

func (s *Scheduler) unassume(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.assumed, uid)
}

func (s *Scheduler) isAssumed(uid types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.assumed[uid]
	return ok
}

func (s *Scheduler) wait(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[key] = struct{}{}
}

func (s *Scheduler) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, key)
}

// snapshot is the cluster as the caches have it, and the Pods that they do not show as bound yet.
func (s *Scheduler) snapshot() (*cluster, error) {
	nodes, err := s.nodes.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	// The assumed ones are taken first: one that the cache learns of in between is counted by its UID once.
	assumed := s.assumedByNode()
	c := &cluster{namespaceLabels: s.labelsOf}
	for _, node := range nodes {
		pods, err := podindex.OfNode(s.podIndex, node.Name)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, newPlace(node, pods, assumed[node.Name]))
	}
	return c, nil
}

func (s *Scheduler) assumedByNode() map[string][]*corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	byNode := map[string][]*corev1.Pod{}
	for _, pod := range s.assumed {
		byNode[pod.Spec.NodeName] = append(byNode[pod.Spec.NodeName], pod)
	}
	return byNode
}

func (s *Scheduler) labelsOf(namespace string) labels.Set {
	ns, err := s.namespaces.Get(namespace)
	if err != nil {
		return nil
	}
	return ns.Labels
}
