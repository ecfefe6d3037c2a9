package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
)

// cluster is the state of things that one Pod is placed in.
type cluster struct {
	nodes []*place
	// namespaceLabels answers the labels of a namespace, none for one that is unknown.
	namespaceLabels func(namespace string) labels.Set
}

// place is a node and the Pods that take room on it.
type place struct {
	node *corev1.Node
	pods []*corev1.Pod
	used corev1.ResourceList
}

func newPlace(node *corev1.Node, bound, assumed []*corev1.Pod) *place {
	p := &place{node: node, used: corev1.ResourceList{}}
	seen := map[types.UID]bool{}
	for _, list := range [][]*corev1.Pod{bound, assumed} {
		for _, pod := range list {
			if seen[pod.UID] || isOver(pod) {
				continue
			}
			seen[pod.UID] = true
			p.pods = append(p.pods, pod)
			for name, quantity := range requests(pod) {
				sum := p.used[name]
				sum.Add(quantity)
				p.used[name] = sum
			}
		}
	}
	return p
}

// requests is what a Pod asks of its node, a resize under way included.
func requests(pod *corev1.Pod) corev1.ResourceList {
	return resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true})
}

// place answers the node for a Pod, or "" and why there is none.
func (c *cluster) place(pod *corev1.Pod) (string, *verdict) {
	v := &verdict{nodes: len(c.nodes), reasons: map[string]int{}}
	if v.whole = missingVolume(pod); v.whole != "" {
		return "", v
	}
	filters := c.filters(pod)
	var fitting []*place
	for _, p := range c.nodes {
		if reasons := firstReasons(filters, p); len(reasons) > 0 {
			v.add(reasons)
			continue
		}
		fitting = append(fitting, p)
	}
	if len(fitting) == 0 {
		return "", v
	}
	return best(pod, fitting).node.Name, v
}

// filter answers why a node is not fit; nothing when it is.
type filter func(p *place) []string

// firstReasons is what the first filter that refuses says, as upstream: the rest is not asked.
func firstReasons(filters []filter, p *place) []string {
	for _, f := range filters {
		if reasons := f(p); len(reasons) > 0 {
			return reasons
		}
	}
	return nil
}
