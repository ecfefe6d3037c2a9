package review

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Rules tells all that a user may do in a namespace.
type Rules interface {
	Rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error)
}

// Authorization are the access reviews.
func Authorization(auth authorizer.UnconditionalAuthorizer, rules Rules) map[string]rest.Storage {
	return map[string]rest.Storage{
		"subjectaccessreviews": &Review[authorizationv1.SubjectAccessReview, *authorizationv1.SubjectAccessReview]{
			singular: "subjectaccessreview",
			answer: func(ctx context.Context, r *authorizationv1.SubjectAccessReview) (err error) {
				r.Status, err = subjectAccess(ctx, auth, r.Spec)
				return err
			},
		},
		"localsubjectaccessreviews": &Review[authorizationv1.LocalSubjectAccessReview, *authorizationv1.LocalSubjectAccessReview]{
			singular: "localsubjectaccessreview", namespaced: true,
			answer: func(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview) (err error) {
				if r.Spec.ResourceAttributes == nil || r.Spec.ResourceAttributes.Namespace != genericapirequest.NamespaceValue(ctx) {
					return apierrors.NewBadRequest("spec.resourceAttributes.namespace must match namespace: " + genericapirequest.NamespaceValue(ctx))
				}
				r.Status, err = subjectAccess(ctx, auth, r.Spec)
				return err
			},
		},
		"selfsubjectaccessreviews": &Review[authorizationv1.SelfSubjectAccessReview, *authorizationv1.SelfSubjectAccessReview]{
			singular: "selfsubjectaccessreview",
			answer: func(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview) error {
				u, err := requester(ctx)
				if err != nil {
					return err
				}
				r.Status, err = access(ctx, auth, u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
				return err
			},
		},
		"selfsubjectrulesreviews": &Review[authorizationv1.SelfSubjectRulesReview, *authorizationv1.SelfSubjectRulesReview]{
			singular: "selfsubjectrulesreview",
			answer: func(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview) error {
				return rulesReview(ctx, rules, r)
			},
		},
	}
}

func subjectAccess(ctx context.Context, auth authorizer.UnconditionalAuthorizer, spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
	if spec.User == "" && len(spec.Groups) == 0 {
		return authorizationv1.SubjectAccessReviewStatus{}, invalid(field.Invalid(field.NewPath("spec", "user"), "", "at least one of user or group must be specified"))
	}
	u := &user.DefaultInfo{Name: spec.User, Groups: spec.Groups, UID: spec.UID, Extra: map[string][]string{}}
	for k, v := range spec.Extra {
		u.Extra[k] = v
	}
	return access(ctx, auth, u, spec.ResourceAttributes, spec.NonResourceAttributes)
}

func invalid(err *field.Error) error {
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview").GroupKind(), "", field.ErrorList{err})
}

func access(ctx context.Context, auth authorizer.UnconditionalAuthorizer, u user.Info, resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) (authorizationv1.SubjectAccessReviewStatus, error) {
	if (resource == nil) == (path == nil) {
		return authorizationv1.SubjectAccessReviewStatus{}, invalid(field.Invalid(field.NewPath("spec", "resourceAttributes"), resource, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	record := authorizer.AttributesRecord{User: u}
	if resource != nil {
		record.Verb, record.Namespace, record.Name = resource.Verb, resource.Namespace, resource.Name
		record.APIGroup, record.APIVersion = resource.Group, resource.Version
		record.Resource, record.Subresource, record.ResourceRequest = resource.Resource, resource.Subresource, true
	} else {
		record.Verb, record.Path = path.Verb, path.Path
	}
	decision, reason, err := auth.Authorize(ctx, record)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow, Denied: decision == authorizer.DecisionDeny, Reason: reason,
	}
	if err != nil {
		status.EvaluationError = fmt.Sprint(err)
	}
	return status, nil
}

func rulesReview(ctx context.Context, rules Rules, r *authorizationv1.SelfSubjectRulesReview) error {
	u, err := requester(ctx)
	if err != nil {
		return err
	}
	if r.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	all, err := rules.Rules(u, r.Spec.Namespace)
	r.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	if err != nil {
		r.Status.EvaluationError, r.Status.Incomplete = err.Error(), true
	}
	for _, rule := range withMasters(u, all) {
		if len(rule.Resources) > 0 {
			r.Status.ResourceRules = append(r.Status.ResourceRules, authorizationv1.ResourceRule{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			r.Status.NonResourceRules = append(r.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return nil
}

// withMasters adds what the privileged group may besides RBAC: everything.
func withMasters(u user.Info, rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, g := range u.GetGroups() {
		if g == user.SystemPrivilegedGroup {
			everything := []string{"*"}
			return append(rules, rbacv1.PolicyRule{Verbs: everything, APIGroups: everything, Resources: everything}, rbacv1.PolicyRule{Verbs: everything, NonResourceURLs: everything})
		}
	}
	return rules
}
