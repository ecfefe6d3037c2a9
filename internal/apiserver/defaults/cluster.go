package defaults

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

// SetNamespace labels a namespace with its own name and gives it its first phase.
func SetNamespace(ns *corev1.Namespace) {
	if ns.Name != "" {
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
	}
	fill(&ns.Status.Phase, corev1.NamespaceActive)
}

// SetNode makes all of a node's capacity allocatable when the node does not say otherwise, and keeps podCIDR and podCIDRs equal.
func SetNode(n *corev1.Node) {
	roundUp(n.Status.Capacity)
	roundUp(n.Status.Allocatable)
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	keepFirst(&n.Spec.PodCIDR, &n.Spec.PodCIDRs)
}

// keepFirst keeps one and the first of many equal. Where they differ the one counts: older clients know only that field.
func keepFirst(one *string, many *[]string) {
	switch {
	case *one != "" && (len(*many) == 0 || (*many)[0] != *one):
		*many = []string{*one}
	case len(*many) > 0:
		*one = (*many)[0]
	}
}

// SetSecret makes a secret without a type an opaque one, and data of its stringData, which nobody gets to read.
func SetSecret(s *corev1.Secret) {
	fill(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

// SetResourceQuota rounds the quantities of a quota.
func SetResourceQuota(q *corev1.ResourceQuota) {
	roundUp(q.Spec.Hard)
	roundUp(q.Status.Hard)
	roundUp(q.Status.Used)
}

// SetLimitRange derives, for containers, the default limits from the maxima and the default requests from those and
// from the minima.
func SetLimitRange(l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		for _, list := range []corev1.ResourceList{
			item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio,
		} {
			roundUp(list)
		}
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		complete(&item.Default, item.Max)
		complete(&item.DefaultRequest, item.Default)
		complete(&item.DefaultRequest, item.Min)
	}
}

// SetPriorityClass lets a class preempt unless it says otherwise.
func SetPriorityClass(p *schedulingv1.PriorityClass) {
	if p.PreemptionPolicy == nil {
		p.PreemptionPolicy = new(corev1.PreemptLowerPriority)
	}
}

// SetRoleBinding completes the API groups of a binding's role and subjects.
func SetRoleBinding(b *rbacv1.RoleBinding) {
	fill(&b.RoleRef.APIGroup, rbacv1.GroupName)
	setSubjects(b.Subjects)
}

// SetClusterRoleBinding completes the API groups of a binding's role and subjects.
func SetClusterRoleBinding(b *rbacv1.ClusterRoleBinding) {
	fill(&b.RoleRef.APIGroup, rbacv1.GroupName)
	setSubjects(b.Subjects)
}

func setSubjects(subjects []rbacv1.Subject) {
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			fill(&s.APIGroup, rbacv1.GroupName)
		}
	}
}
