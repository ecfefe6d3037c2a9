package validation

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// SubjectAccessReviewCreate judges the question what a user may.
func SubjectAccessReviewCreate(r *authorizationv1.SubjectAccessReview) field.ErrorList {
	return append(subjectAccess(&r.Spec), noMeta(r.ObjectMeta, "must be empty")...)
}

// SelfSubjectAccessReviewCreate judges the question what one may oneself.
func SelfSubjectAccessReviewCreate(r *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	return append(accessAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes), noMeta(r.ObjectMeta, "must be empty")...)
}

// LocalSubjectAccessReviewCreate judges the question what a user may in a namespace.
func LocalSubjectAccessReviewCreate(r *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := subjectAccess(&r.Spec)
	meta := r.ObjectMeta
	meta.Namespace = ""
	errs = append(errs, noMeta(meta, "must be empty except for namespace")...)
	if a := r.Spec.ResourceAttributes; a != nil && a.Namespace != r.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), a.Namespace, "must match metadata.namespace"))
	}
	if a := r.Spec.NonResourceAttributes; a != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), a, "disallowed on this kind of request"))
	}
	return errs
}

func noMeta(meta metav1.ObjectMeta, detail string) field.ErrorList {
	meta.ManagedFields = nil
	if equality.Semantic.DeepEqual(metav1.ObjectMeta{}, meta) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), goNames(meta), detail)}
}

func subjectAccess(s *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := accessAttributes(s.ResourceAttributes, s.NonResourceAttributes)
	if s.User == "" && len(s.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified"))
	}
	return errs
}

func accessAttributes(resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) field.ErrorList {
	p := field.NewPath("spec")
	at := p.Child("resourceAttributes")
	switch {
	case resource != nil && path != nil:
		return append(accessSelectors(at, resource), field.Invalid(p.Child("nonResourceAttributes"), goNames(path), "cannot be specified in combination with resourceAttributes"))
	case resource == nil && path == nil:
		return field.ErrorList{field.Invalid(at, path, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	case resource != nil:
		return accessSelectors(at, resource)
	}
	return nil
}

func accessSelectors(p *field.Path, r *authorizationv1.ResourceAttributes) field.ErrorList {
	var errs field.ErrorList
	if s := r.FieldSelector; s != nil {
		at := p.Child("fieldSelector")
		errs = append(errs, oneSelector(at, s.RawSelector, len(s.Requirements))...)
		for i, one := range s.Requirements {
			errs = append(errs, metavalidation.ValidateFieldSelectorRequirement(one, metavalidation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, at.Child("requirements").Index(i))...)
		}
	}
	if s := r.LabelSelector; s != nil {
		at := p.Child("labelSelector")
		errs = append(errs, oneSelector(at, s.RawSelector, len(s.Requirements))...)
		for i, one := range s.Requirements {
			errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(one, metavalidation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, at.Child("requirements").Index(i))...)
		}
	}
	return errs
}

// oneSelector wants a selector as text or as requirements.
func oneSelector(p *field.Path, raw string, requirements int) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(p.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(p.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", p))}
	}
	return nil
}
