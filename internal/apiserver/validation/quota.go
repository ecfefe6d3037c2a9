package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
	at := p.Child("scopes")
	for _, scope := range s.Scopes {
		if !isScope(scope) {
			errs = append(errs, field.Invalid(at, s.Scopes, unknownScope))
		}
		errs = append(errs, scopeOf(at, s.Scopes, scope, s.Hard)...)
	}
	errs = append(errs, conflicting(at, s.Scopes)...)
	if s.ScopeSelector == nil {
		return errs
	}
	at = p.Child("scopeSelector", "matchExpressions")
	var selected []corev1.ResourceQuotaScope
	for _, r := range s.ScopeSelector.MatchExpressions {
		if !isScope(r.ScopeName) {
			errs = append(errs, field.Invalid(at.Child("scopeName"), r.ScopeName, unknownScope))
		}
		errs = append(errs, scopeOf(at, goNames(s.ScopeSelector), r.ScopeName, s.Hard)...)
		errs = append(errs, scopeRequirement(at, r)...)
		selected = append(selected, r.ScopeName)
	}
	return append(errs, conflicting(at, selected)...)
}

func scopeRequirement(p *field.Path, r corev1.ScopedResourceSelectorRequirement) field.ErrorList {
	var errs field.ErrorList
	if r.ScopeName != corev1.ResourceQuotaScopePriorityClass && r.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass &&
		isScope(r.ScopeName) && r.Operator != corev1.ScopeSelectorOpExists {
		errs = append(errs, field.Invalid(p.Child("operator"), r.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "+
			"ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(p.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Invalid(p.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
		}
	default:
		errs = append(errs, field.Invalid(p.Child("operator"), r.Operator, unknownOperator))
	}
	return errs
}

// scopeOf wants a quota with a scope to bound what that scope is of: Pods, but for the scope of volumes.
func scopeOf(p *field.Path, shown any, scope corev1.ResourceQuotaScope, hard corev1.ResourceList) field.ErrorList {
	var errs field.ErrorList
	for _, n := range sortedNames(hard) {
		if isStandard(string(n)) && !isExtended(n) && !inScope(scope, n) {
			errs = append(errs, field.Invalid(p, shown, "unsupported scope applied to resource"))
		}
	}
	return errs
}

func inScope(scope corev1.ResourceQuotaScope, n corev1.ResourceName) bool {
	switch scope {
	case corev1.ResourceQuotaScopeBestEffort:
		return n == corev1.ResourcePods
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return slices.Contains([]corev1.ResourceName{
			corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU,
			corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
		}, n)
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return n == corev1.ResourcePersistentVolumeClaims || n == corev1.ResourceRequestsStorage
	}
	return true
}

func conflicting(p *field.Path, scopes []corev1.ResourceQuotaScope) field.ErrorList {
	var errs field.ErrorList
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			errs = append(errs, field.Invalid(p, scopes, "conflicting scopes"))
		}
	}
	return errs
}

const unknownScope = "unsupported scope"

func isScope(scope corev1.ResourceQuotaScope) bool {
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass:
		return true
	}
	return false
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
