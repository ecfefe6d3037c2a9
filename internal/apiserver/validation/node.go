package validation

import (
	"encoding/json"
	"fmt"
	"regexp"

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

// NodeCreate judges a new node. Errors of taints name the metadata, where taints were once.
func NodeCreate(n *corev1.Node) field.ErrorList {
	errs := created(&n.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, nodeAnnotations(field.NewPath("metadata", "annotations"), n.Annotations)...)
	errs = append(errs, taints(field.NewPath("metadata", "taints"), n.Spec.Taints)...)
	errs = append(errs, nodeStatus(&n.Status)...)
	return append(errs, podCIDRs(field.NewPath("spec", "podCIDRs"), n.Spec.PodCIDRs)...)
}

func podCIDRs(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	for i, cidr := range list {
		errs = append(errs, validation.IsValidCIDRForLegacyField(p.Index(i), cidr, false, nil)...)
	}
	if len(list) < maxPodCIDRs {
		return errs
	}
	dual, err := utilnet.IsDualStackCIDRStrings(list)
	if err != nil {
		errs = append(errs, field.InternalError(p, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
	}
	if !dual || len(list) > maxPodCIDRs {
		errs = append(errs, field.Invalid(p, list, "may specify no more than one CIDR for each IP family"))
	}
	return errs
}

// declaredFeature is the form of what a node says that it can do.
var declaredFeature = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

// nodeStatus holds the rules of what a node may say at its creation as well.
func nodeStatus(s *corev1.NodeStatus) field.ErrorList {
	p := field.NewPath("status")
	errs := capacities(p, s)
	if swap := s.NodeInfo.Swap; swap != nil && swap.Capacity != nil && *swap.Capacity <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "nodeSwapStatus", "capacity"), *swap.Capacity, "must be greater than zero")) // upstream's path
	}
	for i, feature := range s.DeclaredFeatures {
		at := p.Child("declaredFeatures").Index(i)
		if !declaredFeature.MatchString(feature) {
			errs = append(errs, field.Invalid(at, feature, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", feature)))
		}
		switch {
		case i == 0:
		case feature == s.DeclaredFeatures[i-1]:
			errs = append(errs, field.Duplicate(at, feature))
		case feature < s.DeclaredFeatures[i-1]:
			errs = append(errs, field.Invalid(at, feature, "list must be sorted alphabetically"))
		}
	}
	return errs
}

func capacities(p *field.Path, s *corev1.NodeStatus) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name   string
		values corev1.ResourceList
	}{{"capacity", s.Capacity}, {"allocatable", s.Allocatable}} {
		for _, n := range sortedNames(list.values) {
			errs = append(errs, quantity(p.Child(list.name, string(n)), n, list.values[n])...)
		}
	}
	return errs
}

// The annotations in which a node's taints, and what it avoids, were JSON once; they are still judged.
const (
	taintsAnnotation = "scheduler.alpha.kubernetes.io/taints"
	avoidsAnnotation = corev1.PreferAvoidPodsAnnotationKey
)

func nodeAnnotations(p *field.Path, annotations map[string]string) field.ErrorList {
	var errs field.ErrorList
	if value := annotations[taintsAnnotation]; value != "" {
		var list []corev1.Taint
		if err := json.Unmarshal([]byte(value), &list); err != nil {
			errs = append(errs, field.Invalid(p, taintsAnnotation, err.Error()))
		}
		errs = append(errs, taints(p.Child(taintsAnnotation), list)...)
	}
	if value := annotations[avoidsAnnotation]; value != "" {
		errs = append(errs, avoids(p, value)...)
	}
	return errs
}

// avoids judges the Pods that a node would rather not have: each must name a controller.
func avoids(p *field.Path, value string) field.ErrorList {
	var list corev1.AvoidPods
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return field.ErrorList{field.Invalid(p.Child("AvoidPods"), avoidsAnnotation, err.Error())}
	}
	var errs field.ErrorList
	for i, entry := range list.PreferAvoidPods {
		at := p.Child(avoidsAnnotation).Index(i).Child("PodSignature")
		if owner := entry.PodSignature.PodController; owner == nil {
			errs = append(errs, field.Required(at, ""))
		} else if !isTrue(owner.Controller) {
			errs = append(errs, field.Invalid(at.Child("PodController", "Controller"), isTrue(owner.Controller), "must point to a controller"))
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

// NodeUpdate judges an update of a node.
func NodeUpdate(n, old *corev1.Node) field.ErrorList {
	return append(NodeCreate(n), NodeStatusUpdate(n, old)...)
}

// NodeStatusUpdate judges an update of a node's status.
func NodeStatusUpdate(n, old *corev1.Node) field.ErrorList {
	errs := updated(&n.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, nodeAnnotations(field.NewPath("metadata", "annotations"), n.Annotations)...)
	errs = append(errs, nodeStatus(&n.Status)...)
	errs = append(errs, taints(field.NewPath("metadata", "taints"), n.Spec.Taints)...)
	taken := map[corev1.NodeAddress]bool{}
	for i, a := range n.Status.Addresses {
		if taken[a] {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), a))
		}
		taken[a] = true
	}
	p := field.NewPath("spec")
	if len(old.Spec.PodCIDRs) > 0 && !equality.Semantic.DeepEqual(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(p.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(p.Child("providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(p.Child("externalID"), "may not be updated"))
	}
	return errs
}

// NodeWarnings are those about fields that mean nothing any more.
func NodeWarnings(n *corev1.Node) []string {
	var w warnings
	if n.Spec.ConfigSource != nil {
		w.add(field.NewPath("spec", "configSource"), "the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		w.add(field.NewPath("spec", "externalID"), "this field is deprecated, and is unused by Kubernetes")
	}
	return w
}

// LeaseCreate judges a new lease.
func LeaseCreate(l *coordinationv1.Lease) field.ErrorList {
	return append(createdLoosely(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain), leaseSpec(field.NewPath("spec"), &l.Spec)...)
}

// LeaseUpdate judges an update of a lease.
func LeaseUpdate(l, old *coordinationv1.Lease) field.ErrorList {
	return append(updatedLoosely(&l.ObjectMeta, &old.ObjectMeta), leaseSpec(field.NewPath("spec"), &l.Spec)...)
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
