package scheduler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Reasons in kube-scheduler's words: people and tools look for them.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeAffinity  = "node(s) didn't match Pod's node affinity/selector"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonTooManyPods   = "Too many pods"
)

// filters are all that a node must pass for a Pod, the cheapest first.
func (c *cluster) filters(pod *corev1.Pod) []filter {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	wanted, ports := requests(pod), hostPorts(pod)
	return []filter{
		func(p *place) []string { return unschedulable(pod, p.node) },
		func(p *place) []string { return untolerated(pod, p.node) },
		func(p *place) []string {
			if match, err := affinity.Match(p.node); err != nil || !match {
				return []string{reasonNodeAffinity}
			}
			return nil
		},
		func(p *place) []string { return portsTaken(ports, p) },
		func(p *place) []string { return insufficient(wanted, p) },
		c.spread(pod),
		c.interPod(pod),
	}
}

// unschedulable refuses cordoned nodes; the toleration of the taint that stands for it is heeded.
func unschedulable(pod *corev1.Pod, node *corev1.Node) []string {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if !node.Spec.Unschedulable || tolerates(pod, &taint) {
		return nil
	}
	return []string{reasonUnschedulable}
}

func untolerated(pod *corev1.Pod, node *corev1.Node) []string {
	for _, taint := range taints(node) {
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || taint.Key == corev1.TaintNodeUnschedulable {
			continue
		}
		if !tolerates(pod, &taint) {
			return []string{"node(s) had untolerated taint {" + taint.Key + ": " + taint.Value + "}"}
		}
	}
	return nil
}

func tolerates(pod *corev1.Pod, taint *corev1.Taint) bool {
	return corev1helpers.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, taint, true)
}

// taints are a node's own taints, and the one that stands for a Ready condition that is not true: the node life cycle
// puts it on, but later than the condition changes.
func taints(node *corev1.Node) []corev1.Taint {
	own := node.Spec.Taints
	implied := corev1.Taint{Effect: corev1.TaintEffectNoSchedule}
	switch readiness(node) {
	case corev1.ConditionTrue:
		return own
	case corev1.ConditionUnknown:
		implied.Key = corev1.TaintNodeUnreachable
	default:
		implied.Key = corev1.TaintNodeNotReady
	}
	if slices.ContainsFunc(own, func(t corev1.Taint) bool { return t.MatchTaint(&implied) }) {
		return own
	}
	return append(slices.Clone(own), implied)
}

func readiness(node *corev1.Node) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionFalse
}

// insufficient names every resource that the node has not enough of.
func insufficient(wanted corev1.ResourceList, p *place) []string {
	var reasons []string
	if most, ok := p.node.Status.Allocatable[corev1.ResourcePods]; ok && int64(len(p.pods)) >= most.Value() {
		reasons = append(reasons, reasonTooManyPods)
	}
	for name, quantity := range wanted {
		if quantity.IsZero() {
			continue
		}
		free := p.node.Status.Allocatable[name].DeepCopy()
		free.Sub(p.used[name])
		if free.Cmp(quantity) < 0 {
			reasons = append(reasons, "Insufficient "+string(name))
		}
	}
	return reasons
}

type hostPort struct {
	ip       string
	protocol corev1.Protocol
	port     int32
}

const anyAddress = "0.0.0.0"

// hostPorts are the ports of the node's own addresses that a Pod takes.
func hostPorts(pod *corev1.Pod) []hostPort {
	var ports []hostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			h := hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort}
			if h.ip == "" {
				h.ip = anyAddress
			}
			if h.protocol == "" {
				h.protocol = corev1.ProtocolTCP
			}
			ports = append(ports, h)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	return ports
}

func portsTaken(wanted []hostPort, p *place) []string {
	if len(wanted) == 0 {
		return nil
	}
	for _, pod := range p.pods {
		for _, taken := range hostPorts(pod) {
			if slices.ContainsFunc(wanted, taken.collides) {
				return []string{reasonPorts}
			}
		}
	}
	return nil
}

func (h hostPort) collides(other hostPort) bool {
	return h.protocol == other.protocol && h.port == other.port &&
		(h.ip == other.ip || h.ip == anyAddress || other.ip == anyAddress)
}
