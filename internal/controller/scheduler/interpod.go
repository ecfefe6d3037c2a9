package scheduler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	reasonAffinity         = "node(s) didn't match pod affinity rules"
	reasonAntiAffinity     = "node(s) didn't match pod anti-affinity rules"
	reasonExistingAffinity = "node(s) didn't satisfy existing pods anti-affinity rules"
)

// topology is the value of a node label: all nodes with that value are one domain.
type topology struct{ key, value string }

// term is a PodAffinityTerm, ready to be matched.
type term struct {
	key        string
	namespaces []string
	nsSelector labels.Selector
	selector   labels.Selector
}

// newTerm reads a term of owner's. matchLabelKeys need no regard here: the API server merges them into the selector
// when the Pod is created.
func newTerm(owner *corev1.Pod, t *corev1.PodAffinityTerm) term {
	read := term{key: t.TopologyKey, namespaces: t.Namespaces, nsSelector: selector(t.NamespaceSelector), selector: selector(t.LabelSelector)}
	if len(t.Namespaces) == 0 && t.NamespaceSelector == nil {
		read.namespaces = []string{owner.Namespace}
	}
	return read
}

// selector is nothing for nil, and for what cannot be read.
func selector(s *metav1.LabelSelector) labels.Selector {
	read, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return read
}

func (c *cluster) matches(t term, pod *corev1.Pod) bool {
	if !t.selector.Matches(labels.Set(pod.Labels)) {
		return false
	}
	return slices.Contains(t.namespaces, pod.Namespace) || t.nsSelector.Matches(c.namespaceLabels(pod.Namespace))
}

func affinityTerms(pod *corev1.Pod) []term {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAffinity == nil {
		return nil
	}
	return terms(pod, pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
}

func antiAffinityTerms(pod *corev1.Pod) []term {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	return terms(pod, pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
}

func terms(pod *corev1.Pod, list []corev1.PodAffinityTerm) []term {
	var read []term
	for i := range list {
		read = append(read, newTerm(pod, &list[i]))
	}
	return read
}

// interPod is the filter of required affinity and anti-affinity between Pods, in both directions.
func (c *cluster) interPod(pod *corev1.Pod) filter {
	near, apart := affinityTerms(pod), antiAffinityTerms(pod)
	withNear := make([]map[topology]bool, len(near))
	for i, t := range near {
		withNear[i] = c.domains(t, func(existing *corev1.Pod) bool { return c.matchesAll(near, existing) })
	}
	taken := map[topology]bool{}
	for _, t := range apart {
		for d := range c.domains(t, func(existing *corev1.Pod) bool { return c.matches(t, existing) }) {
			taken[d] = true
		}
	}
	refused := c.refusedByExisting(pod)
	first := c.firstOfItsKind(pod, near, withNear)
	return func(p *place) []string {
		for i, t := range near {
			value, ok := p.node.Labels[t.key]
			if !ok || !first && !withNear[i][topology{t.key, value}] {
				return []string{reasonAffinity}
			}
		}
		if in(taken, p.node) {
			return []string{reasonAntiAffinity}
		}
		if in(refused, p.node) {
			return []string{reasonExistingAffinity}
		}
		return nil
	}
}

func (c *cluster) matchesAll(list []term, pod *corev1.Pod) bool {
	return !slices.ContainsFunc(list, func(t term) bool { return !c.matches(t, pod) })
}

// firstOfItsKind tells whether no Pod that the terms ask for is anywhere and the Pod itself is such a one: then the
// affinity to its own kind must not keep the first of them from being placed.
func (c *cluster) firstOfItsKind(pod *corev1.Pod, near []term, found []map[topology]bool) bool {
	if slices.ContainsFunc(found, func(m map[topology]bool) bool { return len(m) > 0 }) {
		return false
	}
	return len(near) > 0 && c.matchesAll(near, pod)
}

// domains are the topology domains with a Pod that counts.
func (c *cluster) domains(t term, counts func(*corev1.Pod) bool) map[topology]bool {
	found := map[topology]bool{}
	for _, p := range c.nodes {
		value, ok := p.node.Labels[t.key]
		if ok && slices.ContainsFunc(p.pods, counts) {
			found[topology{t.key, value}] = true
		}
	}
	return found
}

// refusedByExisting are the domains in which a Pod runs that does not want this one near.
func (c *cluster) refusedByExisting(pod *corev1.Pod) map[topology]bool {
	found := map[topology]bool{}
	for _, p := range c.nodes {
		for _, existing := range p.pods {
			for _, t := range antiAffinityTerms(existing) {
				if value, ok := p.node.Labels[t.key]; ok && c.matches(t, pod) {
					found[topology{t.key, value}] = true
				}
			}
		}
	}
	return found
}

func in(domains map[topology]bool, node *corev1.Node) bool {
	for d := range domains {
		if node.Labels[d.key] == d.value {
			return true
		}
	}
	return false
}
