package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Weights of the preferences, in points of a hundred each.
const (
	weightAffinity = 2
	weightTaint    = 3
	hundred        = 100
)

// best is the node with the most points; the first by name among equals, so that the choice can be foretold.
func best(pod *corev1.Pod, fitting []*place) *place {
	if len(fitting) == 1 {
		return fitting[0]
	}
	var chosen *place
	var most int64
	for _, p := range fitting {
		points := score(pod, p)
		if chosen == nil || points > most || points == most && p.node.Name < chosen.node.Name {
			chosen, most = p, points
		}
	}
	return chosen
}

func score(pod *corev1.Pod, p *place) int64 {
	points := free(p, corev1.ResourceCPU) + free(p, corev1.ResourceMemory) + free(p, corev1.ResourcePods)
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		if err == nil {
			points += weightAffinity * terms.Score(p.node)
		}
	}
	for i := range p.node.Spec.Taints {
		taint := &p.node.Spec.Taints[i]
		if taint.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(pod, taint) {
			points -= weightTaint * hundred
		}
	}
	return points
}

// free is how much of a resource is left, in percent.
func free(p *place, name corev1.ResourceName) int64 {
	allocatable := p.node.Status.Allocatable[name]
	used := p.used[name]
	if name == corev1.ResourcePods {
		used.Set(int64(len(p.pods)))
	}
	all := allocatable.AsApproximateFloat64()
	if all <= 0 {
		return 0
	}
	return int64(hundred * (all - used.AsApproximateFloat64()) / all)
}
