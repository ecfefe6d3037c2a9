package validation

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	hardTerms       = "requiredDuringSchedulingIgnoredDuringExecution"
	softTerms       = "preferredDuringSchedulingIgnoredDuringExecution"
	maxWeight       = 100
	weightRange     = "must be in the range 1-100"
	unknownOperator = "not a valid selector operator"
	nameField       = "metadata.name"
)

func affinity(p *field.Path, a *corev1.Affinity) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if n := a.NodeAffinity; n != nil {
		errs = append(errs, nodeAffinity(p.Child("nodeAffinity"), n)...)
	}
	if f := a.PodAffinity; f != nil {
		errs = append(errs, podTerms(p.Child("podAffinity"), f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	if f := a.PodAntiAffinity; f != nil {
		errs = append(errs, podTerms(p.Child("podAntiAffinity"), f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	return errs
}

func nodeAffinity(p *field.Path, n *corev1.NodeAffinity) field.ErrorList {
	var errs field.ErrorList
	if s := n.RequiredDuringSchedulingIgnoredDuringExecution; s != nil {
		errs = append(errs, nodeSelector(p.Child(hardTerms), s)...)
	}
	for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		term, at := &n.PreferredDuringSchedulingIgnoredDuringExecution[i], p.Child(softTerms).Index(i)
		errs = append(errs, weight(at.Child("weight"), term.Weight)...)
		errs = append(errs, nodeTerm(at.Child("preference"), &term.Preference, false)...)
	}
	return errs
}

func weight(p *field.Path, w int32) field.ErrorList {
	if w <= 0 || w > maxWeight {
		return field.ErrorList{field.Invalid(p, w, weightRange)}
	}
	return nil
}

func nodeSelector(p *field.Path, s *corev1.NodeSelector) field.ErrorList {
	at := p.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(at, "must have at least one node selector term")}
	}
	var errs field.ErrorList
	for i := range s.NodeSelectorTerms {
		errs = append(errs, nodeTerm(at.Index(i), &s.NodeSelectorTerms[i], true)...)
	}
	return errs
}

// nodeTerm judges label values in required terms alone: upstream never did in preferred ones.
func nodeTerm(p *field.Path, t *corev1.NodeSelectorTerm, judgeValues bool) field.ErrorList {
	var errs field.ErrorList
	for i := range t.MatchExpressions {
		errs = append(errs, nodeExpression(p.Child("matchExpressions").Index(i), &t.MatchExpressions[i], judgeValues)...)
	}
	for i := range t.MatchFields {
		errs = append(errs, nodeField(p.Child("matchFields").Index(i), &t.MatchFields[i])...)
	}
	return errs
}

func nodeExpression(p *field.Path, r *corev1.NodeSelectorRequirement, judgeValues bool) field.ErrorList {
	var errs field.ErrorList
	values := p.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		}
	default:
		errs = append(errs, field.Invalid(p.Child("operator"), r.Operator, unknownOperator))
	}
	errs = append(errs, metavalidation.ValidateLabelName(r.Key, p.Child("key"))...)
	if judgeValues {
		for i, v := range r.Values {
			errs = append(errs, invalid(values.Index(i), v, validation.IsValidLabelValue(v))...)
		}
	}
	return errs
}

func nodeField(p *field.Path, r *corev1.NodeSelectorRequirement) field.ErrorList {
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(p.Child("values"),
				"must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(p.Child("operator"), r.Operator, unknownOperator))
	}
	if r.Key != nameField {
		return append(errs, field.Invalid(p.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, v := range r.Values {
		errs = append(errs, dnsSubdomain(p.Child("values").Index(i), v)...)
	}
	return errs
}

func podTerms(p *field.Path, hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm) field.ErrorList {
	var errs field.ErrorList
	for i := range hard {
		errs = append(errs, podTerm(p.Child(hardTerms).Index(i), &hard[i])...)
	}
	for i := range soft {
		at := p.Child(softTerms).Index(i)
		errs = append(errs, weight(at.Child("weight"), soft[i].Weight)...)
		errs = append(errs, podTerm(at.Child("podAffinityTerm"), &soft[i].PodAffinityTerm)...)
	}
	return errs
}

func podTerm(p *field.Path, t *corev1.PodAffinityTerm) field.ErrorList {
	errs := metavalidation.ValidateLabelSelector(t.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, p.Child("labelSelector"))
	errs = append(errs, metavalidation.ValidateLabelSelector(t.NamespaceSelector, metavalidation.LabelSelectorValidationOptions{}, p.Child("namespaceSelector"))...)
	for _, ns := range t.Namespaces {
		errs = append(errs, dnsLabel(p.Child("namespace"), ns)...)
	}
	match, mismatch := p.Child("matchLabelKeys"), p.Child("mismatchLabelKeys")
	errs = append(errs, labelKeys(match, t.MatchLabelKeys, t.LabelSelector)...)
	errs = append(errs, labelKeys(mismatch, t.MismatchLabelKeys, t.LabelSelector)...)
	errs = append(errs, doubledKeys(p, t.MatchLabelKeys, t.LabelSelector)...)
	other := names{}
	for _, key := range t.MismatchLabelKeys {
		other.take(key)
	}
	for i, key := range t.MatchLabelKeys {
		if other[key] {
			errs = append(errs, field.Invalid(match.Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	if t.TopologyKey == "" {
		errs = append(errs, field.Required(p.Child("topologyKey"), "can not be empty"))
	}
	return append(errs, metavalidation.ValidateLabelName(t.TopologyKey, p.Child("topologyKey"))...)
}

func labelKeys(p *field.Path, keys []string, selector *metav1.LabelSelector) field.ErrorList {
	if len(keys) == 0 {
		return nil
	}
	if selector == nil {
		return field.ErrorList{field.Forbidden(p, "must not be specified when labelSelector is not set")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, metavalidation.ValidateLabelName(key, p.Index(i))...)
	}
	return errs
}

// doubledKeys refuses a key that the selector names too. At a creation the Pod's own value of each key was added to the
// expressions before, so that a key of the client's own shows as the second.
func doubledKeys(p *field.Path, keys []string, selector *metav1.LabelSelector) field.ErrorList {
	if selector == nil || len(keys) == 0 {
		return nil
	}
	index, seen := map[string]int{}, names{}
	for i, key := range keys {
		index[key] = i
	}
	for key := range selector.MatchLabels {
		seen.take(key)
	}
	var errs field.ErrorList
	for _, e := range selector.MatchExpressions {
		if i, ok := index[e.Key]; seen.take(e.Key) && ok {
			errs = append(errs, field.Invalid(p.Index(i), e.Key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	return errs
}
