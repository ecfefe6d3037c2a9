package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ResourceQuotaCreate judges a new quota.
func ResourceQuotaCreate(q *corev1.ResourceQuota) field.ErrorList {
	errs := created(&q.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, quotaSpec(field.NewPath("spec"), &q.Spec)...)
	return append(errs, quotaStatus(field.NewPath("status"), &q.Status)...)
}

// ResourceQuotaUpdate judges an update of a quota, whose scopes stay.
func ResourceQuotaUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	errs := updated(&q.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, quotaSpec(field.NewPath("spec"), &q.Spec)...)
	scopes := func(s []corev1.ResourceQuotaScope) names {
		set := names{}
		for _, scope := range s {
			set.take(string(scope))
		}
		return set
	}
	if !equality.Semantic.DeepEqual(scopes(q.Spec.Scopes), scopes(old.Spec.Scopes)) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "scopes"), q.Spec.Scopes, "field is immutable"))
	}
	return errs
}

// ResourceQuotaStatusUpdate judges an update of a quota's status.
func ResourceQuotaStatusUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	errs := updated(&q.ObjectMeta, &old.ObjectMeta)
	if q.ResourceVersion == "" {
		errs = append(errs, field.Required(field.NewPath("resourceVersion"), ""))
	}
	return append(errs, quotaStatus(field.NewPath("status"), &q.Status)...)
}

func quotaStatus(p *field.Path, s *corev1.ResourceQuotaStatus) field.ErrorList {
	return append(amounts(p.Child("hard"), s.Hard, quotaName), amounts(p.Child("used"), s.Used, quotaName)...)
}

func quotaSpec(p *field.Path, s *corev1.ResourceQuotaSpec) field.ErrorList {
	errs := amounts(p.Child("hard"), s.Hard, quotaName)
	for _, scope := range s.Scopes {
		errs = append(errs, quotaScope(p.Child("scopes"), scope)...)
	}
	if s.ScopeSelector == nil {
		return errs
	}
	at := p.Child("scopeSelector", "matchExpressions")
	for _, r := range s.ScopeSelector.MatchExpressions {
		errs = append(errs, quotaScope(at.Child("scopeName"), r.ScopeName)...)
		switch r.Operator {
		case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
			if len(r.Values) == 0 {
				errs = append(errs, field.Required(at.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
			}
		case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				errs = append(errs, field.Invalid(at.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
			}
		default:
			errs = append(errs, field.Invalid(at.Child("operator"), r.Operator, unknownOperator))
		}
	}
	return errs
}

func quotaScope(p *field.Path, scope corev1.ResourceQuotaScope) field.ErrorList {
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass:
		return nil
	}
	return field.ErrorList{field.Invalid(p, scope, "unsupported scope")}
}

// amounts judges the names and the quantities of a list.
func amounts(p *field.Path, list corev1.ResourceList, name func(*field.Path, string) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for _, n := range sortedNames(list) {
		at := p.Key(string(n))
		errs = append(errs, name(at, string(n))...)
		errs = append(errs, quantity(at, n, list[n])...)
	}
	return errs
}

// quotaName wants a qualified name that a quota can count when it has no domain.
func quotaName(p *field.Path, name string) field.ErrorList {
	errs := qualifiedName(p, name)
	if len(errs) > 0 || strings.Contains(name, "/") {
		return errs
	}
	if isStandard(name) || strings.HasPrefix(name, "count/") {
		return nil
	}
	return field.ErrorList{field.Invalid(p, name, "must be a standard resource for quota")}
}

// LimitRangeCreate judges a new LimitRange.
func LimitRangeCreate(l *corev1.LimitRange) field.ErrorList {
	errs := created(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	taken := names{}
	for i := range l.Spec.Limits {
		at := field.NewPath("spec", "limits").Index(i)
		errs = append(errs, qualifiedName(at.Child("type"), string(l.Spec.Limits[i].Type))...)
		if taken.take(string(l.Spec.Limits[i].Type)) {
			errs = append(errs, field.Duplicate(at.Child("type"), l.Spec.Limits[i].Type))
		}
		errs = append(errs, limitItem(at, &l.Spec.Limits[i])...)
	}
	return errs
}

// LimitRangeUpdate judges an update of a LimitRange.
func LimitRangeUpdate(l, old *corev1.LimitRange) field.ErrorList {
	return append(updated(&l.ObjectMeta, &old.ObjectMeta), LimitRangeCreate(l)...)
}

// limitItem wants min <= default request <= default limit <= max for every resource that has several of them.
func limitItem(p *field.Path, item *corev1.LimitRangeItem) field.ErrorList {
	var errs field.ErrorList
	lists := []struct {
		name string
		list corev1.ResourceList
	}{{"min", item.Min}, {"defaultRequest", item.DefaultRequest}, {"default", item.Default}, {"max", item.Max}}
	all := corev1.ResourceList{}
	for _, l := range lists {
		errs = append(errs, amounts(p.Child(l.name), l.list, qualifiedName)...)
		for n, q := range l.list {
			all[n] = q
		}
	}
	if item.Type == corev1.LimitTypePod {
		if len(item.Default) > 0 {
			errs = append(errs, field.Forbidden(p.Child("default"), "may not be specified when `type` is 'Pod'"))
		}
		if len(item.DefaultRequest) > 0 {
			errs = append(errs, field.Forbidden(p.Child("defaultRequest"), "may not be specified when `type` is 'Pod'"))
		}
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, low := item.Min[corev1.ResourceStorage]
		_, high := item.Max[corev1.ResourceStorage]
		if !low && !high {
			errs = append(errs, field.Required(p, "either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	for _, n := range sortedNames(all) {
		for i := range lists {
			for _, higher := range lists[i+1:] {
				errs = append(errs, ordered(p, n, lists[i].name, lists[i].list, higher.name, higher.list)...)
			}
		}
		errs = append(errs, ratio(p.Child("maxLimitRequestRatio").Key(string(n)), n, item)...)
	}
	return errs
}

func ordered(p *field.Path, n corev1.ResourceName, low string, lows corev1.ResourceList, high string, highs corev1.ResourceList) field.ErrorList {
	l, ok := lows[n]
	h, ok2 := highs[n]
	if !ok || !ok2 || l.Cmp(h) <= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(p.Child(low).Key(string(n)), l.String(),
		fmt.Sprintf("%s value %s is greater than %s value %s", low, l.String(), high, h.String()))}
}

func ratio(p *field.Path, n corev1.ResourceName, item *corev1.LimitRangeItem) field.ErrorList {
	r, ok := item.MaxLimitRequestRatio[n]
	if !ok {
		return nil
	}
	if r.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		return field.ErrorList{field.Invalid(p, r.String(), fmt.Sprintf("ratio %s is less than 1", r.String()))}
	}
	return nil
}
