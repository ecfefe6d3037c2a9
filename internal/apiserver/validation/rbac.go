package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// RoleCreate judges a new role. Names of roles and bindings may be anything that fits into a URL.
func RoleCreate(r *rbacv1.Role) field.ErrorList {
	return append(created(&r.ObjectMeta, true, path.ValidatePathSegmentName), rules(r.Rules, true)...)
}

// RoleUpdate judges an update of a role.
func RoleUpdate(r, old *rbacv1.Role) field.ErrorList {
	return append(RoleCreate(r), updated(&r.ObjectMeta, &old.ObjectMeta)...)
}

// ClusterRoleCreate judges a new cluster role.
func ClusterRoleCreate(r *rbacv1.ClusterRole) field.ErrorList {
	errs := append(created(&r.ObjectMeta, false, path.ValidatePathSegmentName), rules(r.Rules, false)...)
	if r.AggregationRule == nil {
		return errs
	}
	at := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(r.AggregationRule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		selector := &r.AggregationRule.ClusterRoleSelectors[i]
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at.Index(i))...)
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			errs = append(errs, field.Invalid(at.Index(i), nil, "invalid label selector."))
		}
	}
	return errs
}

// ClusterRoleUpdate judges an update of a cluster role.
func ClusterRoleUpdate(r, old *rbacv1.ClusterRole) field.ErrorList {
	return append(ClusterRoleCreate(r), updated(&r.ObjectMeta, &old.ObjectMeta)...)
}

func rules(list []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, rule(field.NewPath("rules").Index(i), &list[i], namespaced)...)
	}
	return errs
}

func rule(p *field.Path, r *rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	if len(r.Verbs) == 0 {
		errs = append(errs, field.Required(p.Child("verbs"), ""))
	}
	if len(r.NonResourceURLs) > 0 {
		at := p.Child("nonResourceURLs")
		if namespaced {
			errs = append(errs, field.Invalid(at, r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
		}
		if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
			errs = append(errs, field.Invalid(at, r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
		}
		return errs
	}
	if len(r.APIGroups) == 0 {
		errs = append(errs, field.Required(p.Child("apiGroups"), "resource rules must supply at least one api group"))
	}
	if len(r.Resources) == 0 {
		errs = append(errs, field.Required(p.Child("resources"), "resource rules must supply at least one resource"))
	}
	return errs
}

// RoleBindingCreate judges a new role binding.
func RoleBindingCreate(b *rbacv1.RoleBinding) field.ErrorList {
	return binding(&b.ObjectMeta, b.RoleRef, b.Subjects, true)
}

// RoleBindingUpdate judges an update of a role binding, which stays with its role.
func RoleBindingUpdate(b, old *rbacv1.RoleBinding) field.ErrorList {
	return bindingUpdate(RoleBindingCreate(b), &b.ObjectMeta, &old.ObjectMeta, b.RoleRef, old.RoleRef)
}

// ClusterRoleBindingCreate judges a new cluster role binding.
func ClusterRoleBindingCreate(b *rbacv1.ClusterRoleBinding) field.ErrorList {
	return binding(&b.ObjectMeta, b.RoleRef, b.Subjects, false)
}

// ClusterRoleBindingUpdate judges an update of a cluster role binding, which stays with its role.
func ClusterRoleBindingUpdate(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	return bindingUpdate(ClusterRoleBindingCreate(b), &b.ObjectMeta, &old.ObjectMeta, b.RoleRef, old.RoleRef)
}

func bindingUpdate(errs field.ErrorList, meta, oldMeta *metav1.ObjectMeta, ref, oldRef rbacv1.RoleRef) field.ErrorList {
	errs = append(errs, updated(meta, oldMeta)...)
	if ref != oldRef {
		errs = append(errs, field.Invalid(field.NewPath("roleRef"), goNames(ref), "cannot change roleRef"))
	}
	return errs
}

func binding(meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	errs := created(meta, namespaced, path.ValidatePathSegmentName)
	p := field.NewPath("roleRef")
	errs = append(errs, oneOf(p.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)...)
	kinds := []string{"ClusterRole"}
	if namespaced {
		kinds = []string{"Role", "ClusterRole"}
	}
	errs = append(errs, oneOf(p.Child("kind"), ref.Kind, kinds...)...)
	if ref.Name == "" {
		errs = append(errs, field.Required(p.Child("name"), ""))
	} else {
		errs = append(errs, invalid(p.Child("name"), ref.Name, path.ValidatePathSegmentName(ref.Name, false))...)
	}
	for i := range subjects {
		errs = append(errs, subject(field.NewPath("subjects").Index(i), &subjects[i], namespaced)...)
	}
	return errs
}

func subject(p *field.Path, s *rbacv1.Subject, namespaced bool) field.ErrorList {
	errs := required(p.Child("name"), s.Name)
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			errs = append(errs, dnsSubdomain(p.Child("name"), s.Name)...)
		}
		errs = append(errs, oneOf(p.Child("apiGroup"), s.APIGroup, "")...)
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(p.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		errs = append(errs, oneOf(p.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)...)
	default:
		errs = append(errs, oneOf(p.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)...)
	}
	return errs
}
