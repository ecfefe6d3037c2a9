package validation

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilnet "k8s.io/utils/net"
)

const maxPodCIDRs = 2

// NodeCreate judges a new node.
func NodeCreate(n *corev1.Node) field.ErrorList {
	errs := created(&n.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	return append(errs, nodeSpec(n)...)
}

func nodeSpec(n *corev1.Node) field.ErrorList {
	p := field.NewPath("spec")
	errs := taints(p.Child("taints"), n.Spec.Taints)
	cidrs := p.Child("podCIDRs")
	if len(n.Spec.PodCIDRs) > maxPodCIDRs {
		errs = append(errs, field.Invalid(cidrs, n.Spec.PodCIDRs, "may specify no more than one CIDR for each IP family"))
	}
	if len(n.Spec.PodCIDRs) == maxPodCIDRs && utilnet.IsIPv6CIDRString(n.Spec.PodCIDRs[0]) == utilnet.IsIPv6CIDRString(n.Spec.PodCIDRs[1]) {
		errs = append(errs, field.Invalid(cidrs, n.Spec.PodCIDRs, "may specify no more than one CIDR for each IP family"))
	}
	for i, cidr := range n.Spec.PodCIDRs {
		errs = append(errs, validation.IsValidCIDRForLegacyField(cidrs.Index(i), cidr, false, nil)...)
	}
	return append(errs, capacities(field.NewPath("status"), &n.Status)...)
}

func capacities(p *field.Path, s *corev1.NodeStatus) field.ErrorList {
	var errs field.ErrorList
	for name, list := range map[string]corev1.ResourceList{"capacity": s.Capacity, "allocatable": s.Allocatable} {
		for _, n := range sortedNames(list) {
			errs = append(errs, quantity(p.Child(name).Key(string(n)), n, list[n])...)
		}
	}
	return errs
}

func taints(p *field.Path, list []corev1.Taint) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, t := range list {
		at := p.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		errs = append(errs, invalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
		errs = append(errs, taintEffect(at.Child("effect"), t.Effect)...)
		if taken.take(t.Key + ":" + string(t.Effect)) {
			d := field.Duplicate(at, t)
			d.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, d)
		}
	}
	return errs
}

// NodeUpdate judges an update of a node or of its status.
func NodeUpdate(n, old *corev1.Node) field.ErrorList {
	errs := updated(&n.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, nodeSpec(n)...)
	p := field.NewPath("spec")
	taken := map[corev1.NodeAddress]bool{}
	for i, a := range n.Status.Addresses {
		if taken[a] {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), a))
		}
		taken[a] = true
	}
	if len(old.Spec.PodCIDRs) > 0 && !equality.Semantic.DeepEqual(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(p.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(p.Child("providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	return errs
}

// LeaseCreate judges a new lease.
func LeaseCreate(l *coordinationv1.Lease) field.ErrorList {
	return append(created(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain), leaseSpec(field.NewPath("spec"), &l.Spec)...)
}

// LeaseUpdate judges an update of a lease.
func LeaseUpdate(l, old *coordinationv1.Lease) field.ErrorList {
	return append(updated(&l.ObjectMeta, &old.ObjectMeta), leaseSpec(field.NewPath("spec"), &l.Spec)...)
}

func leaseSpec(p *field.Path, s *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, field.Invalid(p.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if t := s.LeaseTransitions; t != nil && *t < 0 {
		errs = append(errs, field.Invalid(p.Child("leaseTransitions"), *t, notNegative))
	}
	if s.Strategy != nil {
		errs = append(errs, qualifiedName(p.Child("strategy"), string(*s.Strategy))...)
	}
	if h := s.PreferredHolder; h != nil && *h != "" && (s.Strategy == nil || *s.Strategy == "") {
		errs = append(errs, field.Forbidden(p.Child("preferredHolder"), "may only be specified when strategy is defined"))
	}
	return errs
}
