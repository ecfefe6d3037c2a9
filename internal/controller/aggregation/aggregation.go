// Package aggregation fills the cluster roles that are made of others: one with an aggregationRule holds the rules of
// all that its selectors select.
package aggregation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/kubernetes"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// Controller fills aggregated roles.
type Controller struct {
	client kubernetes.Interface
	roles  rbaclisters.ClusterRoleLister
	queue  *work.Queue
}

// New returns the controller.
func New(client kubernetes.Interface, roles rbacinformers.ClusterRoleInformer) (*Controller, error) {
	c := &Controller{client: client, roles: roles.Lister()}
	c.queue = work.New(work.Config{Name: "aggregation", Do: c.sync})
	changed := func(any) { c.addAll() }
	handler := cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed}
	if _, err := roles.Informer().AddEventHandler(handler); err != nil {
		return nil, fmt.Errorf("watch cluster roles: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

// addAll has every aggregated role looked at: any role may be part of any.
func (c *Controller) addAll() {
	all, err := c.roles.List(labels.Everything())
	if err != nil {
		return
	}
	for _, r := range all {
		if r.AggregationRule != nil {
			c.queue.AddObject(r)
		}
	}
}

func (c *Controller) sync(ctx context.Context, name string) error {
	role, err := c.roles.Get(name)
	if apierrors.IsNotFound(err) || err == nil && role.AggregationRule == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get cluster role: %w", err)
	}
	rules, err := c.collect(role)
	if err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(rules, role.Rules) {
		return nil
	}
	role = role.DeepCopy()
	role.Rules = rules
	if _, err := c.client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update cluster role: %w", err)
	}
	return nil
}

// collect gives the rules of all roles that are part of role, each once, in the order of the roles' names.
func (c *Controller) collect(role *rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("selector %d: %w", i, err)
		}
		parts, err := c.roles.List(selector)
		if err != nil {
			return nil, fmt.Errorf("list cluster roles: %w", err)
		}
		slices.SortFunc(parts, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
		for _, part := range parts {
			if part.Name == role.Name {
				continue
			}
			for _, rule := range part.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}
