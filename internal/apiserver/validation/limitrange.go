package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LimitRangeCreate judges a new limit range.
func LimitRangeCreate(l *corev1.LimitRange) field.ErrorList {
	errs := created(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	taken := names{}
	for i := range l.Spec.Limits {
		at := field.NewPath("spec", "limits").Index(i)
		errs = append(errs, limitType(at.Child("type"), l.Spec.Limits[i].Type)...)
		if taken.take(string(l.Spec.Limits[i].Type)) {
			errs = append(errs, field.Duplicate(at.Child("type"), l.Spec.Limits[i].Type))
		}
		errs = append(errs, limitItem(at, &l.Spec.Limits[i])...)
	}
	return errs
}

// LimitRangeUpdate judges an update of a limit range.
func LimitRangeUpdate(l, old *corev1.LimitRange) field.ErrorList {
	return append(updated(&l.ObjectMeta, &old.ObjectMeta), LimitRangeCreate(l)...)
}

func limitType(p *field.Path, t corev1.LimitType) field.ErrorList {
	errs := qualifiedName(p, string(t))
	if len(errs) > 0 || strings.Contains(string(t), "/") {
		return errs
	}
	switch t {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
		return nil
	}
	return field.ErrorList{field.Invalid(p, t, "must be a standard limit type or fully qualified")}
}

// bounds are the lists of a limit in the order of their amounts, each with how messages name it.
func bounds(item *corev1.LimitRangeItem) []bound {
	return []bound{
		{"min", "min", item.Min}, {"defaultRequest", "default request", item.DefaultRequest},
		{"default", "default", item.Default}, {"max", "max", item.Max},
	}
}

type bound struct {
	field, name string
	list        corev1.ResourceList
}

func limitItem(p *field.Path, item *corev1.LimitRangeItem) field.ErrorList {
	resourceName := quotaResourceName
	if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
		resourceName = containerResourceName
	}
	lists, all := bounds(item), corev1.ResourceList{}
	errs := limitOfType(p, item)
	for _, b := range append(lists, bound{field: "maxLimitRequestRatio", list: item.MaxLimitRequestRatio}) {
		if item.Type == corev1.LimitTypePod && strings.HasPrefix(b.field, "default") {
			continue // refused as a whole
		}
		for _, n := range sortedNames(b.list) {
			errs = append(errs, resourceName(p.Child(b.field).Key(string(n)), string(n))...)
			all[n] = b.list[n]
		}
	}
	for _, n := range sortedNames(all) {
		for i := range lists {
			for _, higher := range lists[i+1:] {
				errs = append(errs, ordered(p, n, lists[i], higher)...)
			}
		}
		errs = append(errs, ratio(p.Child("maxLimitRequestRatio").Key(string(n)), n, item)...)
		errs = append(errs, promised(p.Child("defaultRequest").Key(string(n)), n, item)...)
	}
	return errs
}

// limitOfType holds the rules that only some types of limits have.
func limitOfType(p *field.Path, item *corev1.LimitRangeItem) field.ErrorList {
	var errs field.ErrorList
	switch item.Type {
	case corev1.LimitTypePod:
		if len(item.Default) > 0 {
			errs = append(errs, field.Forbidden(p.Child("default"), "may not be specified when `type` is 'Pod'"))
		}
		if len(item.DefaultRequest) > 0 {
			errs = append(errs, field.Forbidden(p.Child("defaultRequest"), "may not be specified when `type` is 'Pod'"))
		}
	case corev1.LimitTypePersistentVolumeClaim:
		_, low := item.Min[corev1.ResourceStorage]
		_, high := item.Max[corev1.ResourceStorage]
		if !low && !high {
			errs = append(errs, field.Required(p.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	return errs
}

// quotaResourceName wants a name of Kubernetes' own, or one with a domain.
func quotaResourceName(p *field.Path, name string) field.ErrorList {
	errs := qualifiedName(p, name)
	if len(errs) > 0 || strings.Contains(name, "/") || isStandard(name) {
		return errs
	}
	return field.ErrorList{field.Invalid(p, name, "must be a standard resource type or fully qualified")}
}

// ordered wants the lower bound not above the higher. What is in between is at fault, not the bound that it breaks.
func ordered(p *field.Path, n corev1.ResourceName, low, high bound) field.ErrorList {
	l, ok := low.list[n]
	h, ok2 := high.list[n]
	if !ok || !ok2 || l.Cmp(h) <= 0 {
		return nil
	}
	fault := low.field
	if low.field == "min" && high.field != "max" {
		fault = high.field
	}
	above := high.name
	if low.field == "defaultRequest" && high.field == "default" {
		above = "default limit"
	}
	return field.ErrorList{field.Invalid(p.Child(fault).Key(string(n)), l.String(),
		fmt.Sprintf("%s value %s is greater than %s value %s", low.name, l.String(), above, h.String()))}
}

func ratio(p *field.Path, n corev1.ResourceName, item *corev1.LimitRangeItem) field.ErrorList {
	r, ok := item.MaxLimitRequestRatio[n]
	if !ok {
		return nil
	}
	var errs field.ErrorList
	if r.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		errs = append(errs, field.Invalid(p, r.String(), fmt.Sprintf("ratio %s is less than 1", r.String())))
	}
	low, ok := item.Min[n]
	high, ok2 := item.Max[n]
	if !ok || !ok2 {
		return errs
	}
	if most := high.AsApproximateFloat64() / low.AsApproximateFloat64(); r.AsApproximateFloat64() > most {
		errs = append(errs, field.Invalid(p, r.String(), fmt.Sprintf("ratio %s is greater than max/min = %f", r.String(), most)))
	}
	return errs
}

// promised wants what cannot be overcommitted to be requested as it is limited.
func promised(p *field.Path, n corev1.ResourceName, item *corev1.LimitRangeItem) field.ErrorList {
	request, ok := item.DefaultRequest[n]
	limit, ok2 := item.Default[n]
	if !ok || !ok2 || overcommits(n) || request.Cmp(limit) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, request.String(), fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.String(), request.String(), n))}
}
