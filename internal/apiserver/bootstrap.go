package apiserver

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mayfly-run/mayfly/internal/apiserver/authz"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/plain"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/rbac"
)

// protect puts the check against escalation before the storages of RBAC's kinds.
func (s *Server) protect(storages plain.Storages, auth authorizer.Authorizer) {
	for name, storage := range storages {
		if plainStorage, ok := storage.(*registry.Storage); ok {
			storages[name] = rbac.Guard(plainStorage, auth, s.rbac)
		}
	}
}

// bootstrapWorkers make objects side by side, since each waits for the disk.
const bootstrapWorkers = 8

// bootstrap makes the namespaces, priority classes, roles and bindings that every cluster has, and brings those that
// an older version made up to date. None of them waits for another.
func (s *Server) bootstrap(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(bootstrapWorkers)
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		work.Go(func() error { return s.ensureNamespace(ctx, name) })
	}
	for name, value := range map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000} {
		work.Go(func() error { return s.ensurePriorityClass(ctx, name, value) })
	}
	if err := s.ensureRoles(ctx, work); err != nil {
		return errors.Join(err, work.Wait())
	}
	if err := s.ensureBindings(ctx, work); err != nil {
		return errors.Join(err, work.Wait())
	}
	return work.Wait()
}

func (s *Server) ensureNamespace(ctx context.Context, name string) error {
	api := s.client.CoreV1().Namespaces()
	if _, err := api.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

func (s *Server) ensurePriorityClass(ctx context.Context, name string, value int32) error {
	api := s.client.SchedulingV1().PriorityClasses()
	if _, err := api.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := api.Create(ctx, &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value,
		Description: "Used for system critical pods that must run in the cluster.",
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create priority class %s: %w", name, err)
	}
	return nil
}

// ensureRoles lists what is there once instead of asking for each: on most starts nothing is to do.
func (s *Server) ensureRoles(ctx context.Context, work *errgroup.Group) error {
	have, err := s.client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster roles: %w", err)
	}
	known := map[string]*rbacv1.ClusterRole{}
	for i := range have.Items {
		known[have.Items[i].Name] = &have.Items[i]
	}
	for _, want := range authz.ClusterRoles() {
		work.Go(func() error { return s.ensureRole(ctx, known[want.Name], &want) })
	}
	return nil
}

// ensureRole makes a role, or brings old, which is nil when there is none, up to date.
func (s *Server) ensureRole(ctx context.Context, old, want *rbacv1.ClusterRole) (err error) {
	api := s.client.RbacV1().ClusterRoles()
	switch {
	case old == nil:
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
	case old.Annotations[rbacv1.AutoUpdateAnnotationKey] == "true" && renew(old, *want):
		_, err = api.Update(ctx, old, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cluster role %s: %w", want.Name, err)
	}
	return nil
}

// renew makes an old role what it is made today and tells whether anything changed. The rules of an aggregated role are
// left to its controller, and so are the selectors that it has.
func renew(old *rbacv1.ClusterRole, want rbacv1.ClusterRole) bool {
	before := old.DeepCopy()
	if old.Labels == nil {
		old.Labels = map[string]string{}
	}
	maps.Copy(old.Labels, want.Labels)
	if old.AggregationRule == nil {
		old.AggregationRule = want.AggregationRule
		old.Rules = want.Rules
	}
	return !equality.Semantic.DeepEqual(before, old)
}

func (s *Server) ensureBindings(ctx context.Context, work *errgroup.Group) error {
	bindings := s.client.RbacV1().ClusterRoleBindings()
	have, err := bindings.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster role bindings: %w", err)
	}
	known := map[string]bool{}
	for _, b := range have.Items {
		known[b.Name] = true
	}
	for _, want := range authz.ClusterRoleBindings() {
		if known[want.Name] {
			continue
		}
		work.Go(func() error {
			if _, err := bindings.Create(ctx, &want, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("cluster role binding %s: %w", want.Name, err)
			}
			return nil
		})
	}
	return nil
}
