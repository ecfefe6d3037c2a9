package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

const (
	reasonSpread      = "node(s) didn't match pod topology spread constraints"
	reasonSpreadLabel = reasonSpread + " (missing required label)"
)

// constraint is a topology spread constraint that must hold, and how many Pods it counts in each domain.
type constraint struct {
	key     string
	maxSkew int
	counts  map[string]int
	least   int
	self    int
}

// spread is the filter of the constraints whose whenUnsatisfiable is DoNotSchedule.
func (c *cluster) spread(pod *corev1.Pod) filter {
	var constraints []constraint
	for i := range pod.Spec.TopologySpreadConstraints {
		t := &pod.Spec.TopologySpreadConstraints[i]
		if t.WhenUnsatisfiable == corev1.DoNotSchedule {
			constraints = append(constraints, c.count(pod, t))
		}
	}
	return func(p *place) []string {
		for _, t := range constraints {
			value, ok := p.node.Labels[t.key]
			if !ok {
				return []string{reasonSpreadLabel}
			}
			if t.counts[value]+t.self-t.least > t.maxSkew {
				return []string{reasonSpread}
			}
		}
		return nil
	}
}

func (c *cluster) count(pod *corev1.Pod, t *corev1.TopologySpreadConstraint) constraint {
	wanted := spreadSelector(pod, t)
	read := constraint{key: t.TopologyKey, maxSkew: int(t.MaxSkew), counts: map[string]int{}}
	if wanted.Matches(labels.Set(pod.Labels)) {
		read.self = 1
	}
	for _, p := range c.nodes {
		value, ok := p.node.Labels[t.TopologyKey]
		if !ok || !eligible(pod, t, p.node) {
			continue
		}
		matching := 0
		for _, existing := range p.pods {
			if existing.Namespace == pod.Namespace && existing.DeletionTimestamp == nil && wanted.Matches(labels.Set(existing.Labels)) {
				matching++
			}
		}
		read.counts[value] += matching
	}
	read.least = least(read.counts, t.MinDomains)
	return read
}

// least is the count of the emptiest domain; zero while there are fewer domains than the constraint wants.
func least(counts map[string]int, minDomains *int32) int {
	if minDomains != nil && len(counts) < int(*minDomains) {
		return 0
	}
	lowest := -1
	for _, n := range counts {
		if lowest < 0 || n < lowest {
			lowest = n
		}
	}
	return max(lowest, 0)
}

// spreadSelector is the constraint's selector and, by matchLabelKeys, the Pod's own values.
func spreadSelector(pod *corev1.Pod, t *corev1.TopologySpreadConstraint) labels.Selector {
	wanted := selector(t.LabelSelector)
	own := labels.Set{}
	for _, key := range t.MatchLabelKeys {
		if value, ok := pod.Labels[key]; ok {
			own[key] = value
		}
	}
	if len(own) == 0 {
		return wanted
	}
	requirements, _ := own.AsSelector().Requirements()
	return wanted.Add(requirements...)
}

// eligible tells whether a node's Pods count: by default when the Pod's node affinity allows the node, whatever its
// taints.
func eligible(pod *corev1.Pod, t *corev1.TopologySpreadConstraint, node *corev1.Node) bool {
	if t.NodeAffinityPolicy == nil || *t.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor {
		if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
			return false
		}
	}
	if t.NodeTaintsPolicy != nil && *t.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor {
		return len(untolerated(pod, node)) == 0 && len(unschedulable(pod, node)) == 0
	}
	return true
}
