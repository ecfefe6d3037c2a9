package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
)

// RBAC allows what roles that are bound to the user say.
type RBAC struct {
	Roles               rbaclisters.RoleLister
	RoleBindings        rbaclisters.RoleBindingLister
	ClusterRoles        rbaclisters.ClusterRoleLister
	ClusterRoleBindings rbaclisters.ClusterRoleBindingLister
}

// Authorize decides for authorizer.AuthorizerFunc; RBAC never denies what another authorizer may allow.
func (r *RBAC) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	var reason string
	var errs []error
	r.visit(a.GetUser(), a.GetNamespace(), func(source string, rule *rbacv1.PolicyRule, err error) bool {
		if err != nil {
			errs = append(errs, err)
			return true
		}
		if allows(a, rule) {
			reason = "RBAC: allowed by " + source
			return false
		}
		return true
	})
	if reason != "" {
		return authorizer.DecisionAllow, reason, nil
	}
	if len(errs) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", errs), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// Rules are all that a user may do in a namespace; with an empty one, what cluster role bindings give.
func (r *RBAC) Rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var errs []error
	r.visit(u, namespace, func(_ string, rule *rbacv1.PolicyRule, err error) bool {
		if err != nil {
			errs = append(errs, err)
		} else {
			rules = append(rules, *rule)
		}
		return true
	})
	if len(errs) > 0 {
		return rules, fmt.Errorf("resolve rules: %v", errs)
	}
	return rules, nil
}

// RoleRules are the rules of the role that ref names.
func (r *RBAC) RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		role, err := r.Roles.Roles(namespace).Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	case "ClusterRole":
		role, err := r.ClusterRoles.Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
}

// visit calls each with every rule of the user until it returns false.
func (r *RBAC) visit(u user.Info, namespace string, each func(source string, rule *rbacv1.PolicyRule, err error) bool) {
	bindings, err := r.ClusterRoleBindings.List(labels.Everything())
	if err != nil && !each("", nil, err) {
		return
	}
	for _, b := range bindings {
		if !applies(u, b.Subjects, "") {
			continue
		}
		if !r.visitRole(b.RoleRef, "", fmt.Sprintf("ClusterRoleBinding %q of %s %q", b.Name, b.RoleRef.Kind, b.RoleRef.Name), each) {
			return
		}
	}
	if namespace == "" {
		return
	}
	local, err := r.RoleBindings.RoleBindings(namespace).List(labels.Everything())
	if err != nil && !each("", nil, err) {
		return
	}
	for _, b := range local {
		if !applies(u, b.Subjects, namespace) {
			continue
		}
		if !r.visitRole(b.RoleRef, namespace, fmt.Sprintf("RoleBinding %q of %s %q", b.Name+"/"+namespace, b.RoleRef.Kind, b.RoleRef.Name), each) {
			return
		}
	}
}

func (r *RBAC) visitRole(ref rbacv1.RoleRef, namespace, source string, each func(string, *rbacv1.PolicyRule, error) bool) bool {
	rules, err := r.RoleRules(ref, namespace)
	if err != nil {
		return each(source, nil, err)
	}
	for i := range rules {
		if !each(source, &rules[i], nil) {
			return false
		}
	}
	return true
}

func applies(u user.Info, subjects []rbacv1.Subject, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return u.GetName() == s.Name
		case rbacv1.GroupKind:
			return slices.Contains(u.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			ns := s.Namespace
			if ns == "" {
				ns = namespace
			}
			return ns != "" && serviceaccount.MatchesUsername(ns, s.Name, u.GetName())
		}
		return false
	})
}

func allows(a authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	if !matches(rule.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(u string) bool {
			prefix, wild := strings.CutSuffix(u, "*")
			return u == "*" || u == a.GetPath() || wild && strings.HasPrefix(a.GetPath(), prefix)
		})
	}
	return matches(rule.APIGroups, a.GetAPIGroup()) && matchesResource(rule.Resources, a.GetResource(), a.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func matches(list []string, want string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, want)
}

// matchesResource also knows "*/subresource", for a subresource of anything.
func matchesResource(list []string, resource, subresource string) bool {
	full := resource
	if subresource != "" {
		full += "/" + subresource
	}
	return slices.ContainsFunc(list, func(r string) bool {
		return r == "*" || r == full || subresource != "" && r == "*/"+subresource
	})
}
