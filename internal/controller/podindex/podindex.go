// Package podindex finds the cached Pods of a node, or of a controlling owner, without walking through all.
package podindex

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

const (
	byNode  = "mayfly.node"
	byOwner = "mayfly.owner"
)

// Add puts the indices on an informer of Pods that has not started. Doing it twice is no mistake.
func Add(pods cache.SharedIndexInformer) error {
	missing := cache.Indexers{byNode: nodeOf, byOwner: ownerOf}
	for name := range pods.GetIndexer().GetIndexers() {
		delete(missing, name)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := pods.AddIndexers(missing); err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	return nil
}

func nodeOf(obj any) ([]string, error) {
	if pod, ok := obj.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}, nil
	}
	return nil, nil
}

func ownerOf(obj any) ([]string, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, nil
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return []string{string(owner.UID)}, nil
	}
	return nil, nil
}

// OfNode answers the Pods that are bound to a node, in no order.
func OfNode(pods cache.Indexer, node string) ([]*corev1.Pod, error) { return of(pods, byNode, node) }

// OfOwner answers the Pods that an object controls, in no order.
func OfOwner(pods cache.Indexer, owner types.UID) ([]*corev1.Pod, error) {
	return of(pods, byOwner, string(owner))
}

func of(pods cache.Indexer, index, value string) ([]*corev1.Pod, error) {
	found, err := pods.ByIndex(index, value)
	if err != nil {
		return nil, fmt.Errorf("look up pods: %w", err)
	}
	list := make([]*corev1.Pod, 0, len(found))
	for _, obj := range found {
		if pod, ok := obj.(*corev1.Pod); ok {
			list = append(list, pod)
		}
	}
	return list, nil
}
