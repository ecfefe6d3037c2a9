// Package rbac keeps users from giving more than they have: a role may hold only rules that its writer holds too, and
// a binding may name only a role whose rules its writer holds, unless the verbs escalate and bind say otherwise.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

// Resolver knows the rules of users and roles.
type Resolver interface {
	Rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error)
	RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error)
}

// Guarded is the storage of a kind of role or binding, with the check before each write.
type Guarded struct {
	*registry.Storage
	auth     authorizer.UnconditionalAuthorizer
	resolver Resolver
}

// Guard puts the check before s.
func Guard(s *registry.Storage, auth authorizer.UnconditionalAuthorizer, resolver Resolver) *Guarded {
	return &Guarded{Storage: s, auth: auth, resolver: resolver}
}

// Create implements rest.Creater.
func (g *Guarded) Create(ctx context.Context, o runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if err := g.check(ctx, o); err != nil {
		return nil, err
	}
	return g.Storage.Create(ctx, o, validate, options)
}

// Update implements rest.Updater. Finalizers and owners give nothing to anybody, and without them nothing could be
// collected; whatever else changes, all that the object grants is looked at again.
func (g *Guarded) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, force bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	checked := rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, o, old runtime.Object) (runtime.Object, error) {
		if collectable(o, old) {
			return o, nil
		}
		if role, ok := old.(*rbacv1.ClusterRole); ok && aggregates(role) {
			if err := g.checkAggregation(ctx, role.Name); err != nil {
				return nil, err
			}
		}
		return o, g.check(ctx, o)
	})
	return g.Storage.Update(ctx, name, checked, create, update, force, options)
}

// collectable tells whether o is old but for finalizers and owners.
func collectable(o, old runtime.Object) bool {
	if old == nil {
		return false
	}
	copied := o.DeepCopyObject()
	m, err := meta.Accessor(copied)
	if err != nil {
		return false
	}
	before, err := meta.Accessor(old)
	if err != nil || before.GetUID() == "" {
		return false
	}
	m.SetOwnerReferences(before.GetOwnerReferences())
	m.SetFinalizers(before.GetFinalizers())
	m.SetManagedFields(before.GetManagedFields())
	return equality.Semantic.DeepEqual(copied, old)
}

func aggregates(r *rbacv1.ClusterRole) bool {
	return r.AggregationRule != nil && len(r.AggregationRule.ClusterRoleSelectors) > 0
}

// checkAggregation lets only those gather rules who may do everything: what is gathered is not known yet.
func (g *Guarded) checkAggregation(ctx context.Context, name string) error {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok || slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) || g.allowed(ctx, u, "escalate", "clusterroles", "", name) {
		return nil
	}
	err := g.covered(u, "", "clusterroles", name, []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
	})
	if err == nil {
		return nil
	}
	return apierrors.NewForbidden(rbacv1.Resource("clusterroles"), name, errors.New("must have cluster-admin privileges to use the aggregationRule"))
}

func (g *Guarded) check(ctx context.Context, o runtime.Object) error {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return apierrors.NewInternalError(fmt.Errorf("no user on request"))
	}
	if slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	switch o := o.(type) {
	case *rbacv1.Role:
		return g.checkRules(ctx, u, namespace, "escalate", "roles", o.Name, o.Rules)
	case *rbacv1.ClusterRole:
		if err := g.checkRules(ctx, u, "", "escalate", "clusterroles", o.Name, o.Rules); err != nil || !aggregates(o) {
			return err
		}
		return g.checkAggregation(ctx, o.Name)
	case *rbacv1.RoleBinding:
		return g.checkBinding(ctx, u, namespace, "rolebindings", o.Name, o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return g.checkBinding(ctx, u, "", "clusterrolebindings", o.Name, o.RoleRef)
	}
	return nil
}

func (g *Guarded) checkBinding(ctx context.Context, u user.Info, namespace, resource, name string, ref rbacv1.RoleRef) error {
	of := "clusterroles"
	if ref.Kind == "Role" {
		of = "roles"
	}
	if g.allowed(ctx, u, "bind", of, namespace, ref.Name) {
		return nil
	}
	rules, err := g.resolver.RoleRules(ref, namespace)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return apierrors.NewNotFound(rbacv1.Resource(of), ref.Name)
	}
	return g.covered(u, namespace, resource, name, rules)
}

func (g *Guarded) checkRules(ctx context.Context, u user.Info, namespace, verb, resource, name string, rules []rbacv1.PolicyRule) error {
	if g.allowed(ctx, u, verb, resource, namespace, name) {
		return nil
	}
	return g.covered(u, namespace, resource, name, rules)
}

func (g *Guarded) allowed(ctx context.Context, u user.Info, verb, resource, namespace, name string) bool {
	decision, _, _ := g.auth.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: verb, APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource,
		Name: name, Namespace: namespace, ResourceRequest: true,
	})
	return decision == authorizer.DecisionAllow
}

func (g *Guarded) covered(u user.Info, namespace, resource, name string, rules []rbacv1.PolicyRule) error {
	held, err := g.resolver.Rules(u, namespace)
	ok, missing := validation.Covers(held, rules)
	if ok {
		return nil
	}
	message := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%v", u.GetName(), u.GetGroups(), missing)
	if err != nil {
		message += fmt.Sprintf("; resolution errors: %v", err)
	}
	return apierrors.NewForbidden(rbacv1.Resource(resource), name, fmt.Errorf("%s", message))
}
