package review

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Rules tells all that a user may do in a namespace.
type Rules interface {
	Rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error)
}

// Authorization are the access reviews.
func Authorization(auth authorizer.UnconditionalAuthorizer, rules Rules) map[string]rest.Storage {
	return map[string]rest.Storage{
		"subjectaccessreviews": &Review[authorizationv1.SubjectAccessReview, *authorizationv1.SubjectAccessReview]{
			singular: "subjectaccessreview", judge: validation.SubjectAccessReviewCreate,
			answer: func(ctx context.Context, r *authorizationv1.SubjectAccessReview) error {
				r.Status = subjectAccess(ctx, auth, r.Spec)
				return nil
			},
		},
		"localsubjectaccessreviews": &Review[authorizationv1.LocalSubjectAccessReview, *authorizationv1.LocalSubjectAccessReview]{
			singular: "localsubjectaccessreview", namespaced: true, judge: validation.LocalSubjectAccessReviewCreate,
			answer: func(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview) error {
				r.Status = subjectAccess(ctx, auth, r.Spec)
				return nil
			},
		},
		"selfsubjectaccessreviews": &Review[authorizationv1.SelfSubjectAccessReview, *authorizationv1.SelfSubjectAccessReview]{
			singular: "selfsubjectaccessreview", judge: validation.SelfSubjectAccessReviewCreate,
			answer: func(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview) error {
				u, err := requester(ctx)
				if err != nil {
					return err
				}
				r.Status = access(ctx, auth, u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
				return nil
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

func subjectAccess(ctx context.Context, auth authorizer.UnconditionalAuthorizer, spec authorizationv1.SubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
	u := &user.DefaultInfo{Name: spec.User, Groups: spec.Groups, UID: spec.UID, Extra: map[string][]string{}}
	for k, v := range spec.Extra {
		u.Extra[k] = v
	}
	return access(ctx, auth, u, spec.ResourceAttributes, spec.NonResourceAttributes)
}

func access(ctx context.Context, auth authorizer.UnconditionalAuthorizer, u user.Info, resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	record := authorizer.AttributesRecord{User: u}
	if resource != nil {
		record.Verb, record.Namespace, record.Name = resource.Verb, resource.Namespace, resource.Name
		record.APIGroup, record.APIVersion = resource.Group, resource.Version
		record.Resource, record.Subresource, record.ResourceRequest = resource.Resource, resource.Subresource, true
		if record.APIVersion == "" {
			record.APIVersion = "*"
		}
		selectors(resource, &record)
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
	return status
}

// selectors tells the authorizer what a list or watch is restricted to. What cannot be read restricts nothing.
func selectors(resource *authorizationv1.ResourceAttributes, record *authorizer.AttributesRecord) {
	if s := resource.FieldSelector; s != nil {
		if s.RawSelector != "" {
			parsed, err := fields.ParseSelector(s.RawSelector)
			if record.FieldSelectorParsingErr = err; err == nil {
				record.FieldSelectorRequirements = parsed.Requirements()
			}
		} else {
			record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(s.Requirements)
		}
	}
	if s := resource.LabelSelector; s != nil {
		var parsed labels.Selector
		if s.RawSelector != "" {
			parsed, record.LabelSelectorParsingErr = labels.Parse(s.RawSelector)
		} else {
			parsed, record.LabelSelectorParsingErr = metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: s.Requirements})
		}
		if record.LabelSelectorParsingErr == nil {
			record.LabelSelectorRequirements, _ = parsed.Requirements()
		}
	}
}

func fieldRequirements(list []metav1.FieldSelectorRequirement) (fields.Requirements, error) {
	var all fields.Requirements
	for _, r := range list {
		operator, ok := map[metav1.FieldSelectorOperator]selection.Operator{
			metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals,
		}[r.Operator]
		if !ok || len(r.Values) != 1 {
			return all, fmt.Errorf("field selector on %s: %s of %d values is not understood", r.Key, r.Operator, len(r.Values))
		}
		all = append(all, fields.Requirement{Operator: operator, Field: r.Key, Value: r.Values[0]})
	}
	return all, nil
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
