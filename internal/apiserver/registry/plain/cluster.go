package plain

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// dropElection leaves out what the server would have to elect leaders by (CoordinatedLeaderElection), unless it is there already.
func dropElection(s, old *coordinationv1.LeaseSpec) {
	if old.Strategy == nil {
		s.Strategy = nil
	}
	if old.PreferredHolder == nil {
		s.PreferredHolder = nil
	}
}

// Coordination are Leases.
func Coordination(o registry.Options) (Storages, error) {
	all := Storages{}
	_, err := add(o, all, registry.Kind[coordinationv1.Lease, coordinationv1.LeaseList, *coordinationv1.Lease, *coordinationv1.LeaseList]{
		Resource: coordinationv1.Resource("leases"), Namespaced: true, CreateOnUpdate: true, ConditionalUpdate: true,
		Create: validation.LeaseCreate, Update: validation.LeaseUpdate,
		Prepare:       func(_ context.Context, l *coordinationv1.Lease) { dropElection(&l.Spec, &coordinationv1.LeaseSpec{}) },
		PrepareUpdate: func(_ context.Context, l, old *coordinationv1.Lease) { dropElection(&l.Spec, &old.Spec) },
	})
	return all, err
}

// Scheduling are PriorityClasses.
func Scheduling(o registry.Options) (Storages, error) {
	all := Storages{}
	_, err := add(o, all, registry.Kind[schedulingv1.PriorityClass, schedulingv1.PriorityClassList, *schedulingv1.PriorityClass, *schedulingv1.PriorityClassList]{
		Resource: schedulingv1.Resource("priorityclasses"), Singular: "priorityclass", ShortNames: []string{"pc"},
		Create: validation.PriorityClassCreate, Update: validation.PriorityClassUpdate,
		Prepare: func(_ context.Context, p *schedulingv1.PriorityClass) { p.Generation = 1 },
	})
	return all, err
}

// Node are RuntimeClasses.
func Node(o registry.Options) (Storages, error) {
	all := Storages{}
	_, err := add(o, all, registry.Kind[nodev1.RuntimeClass, nodev1.RuntimeClassList, *nodev1.RuntimeClass, *nodev1.RuntimeClassList]{
		Resource: nodev1.Resource("runtimeclasses"), Singular: "runtimeclass", ConditionalUpdate: true,
		Create: validation.RuntimeClassCreate, Update: validation.RuntimeClassUpdate,
	})
	return all, err
}

// RBAC are roles and bindings; the server adds its checks against escalation.
func RBAC(o registry.Options) (Storages, error) {
	all := Storages{}
	err := each(
		func() error {
			_, err := add(o, all, registry.Kind[rbacv1.Role, rbacv1.RoleList, *rbacv1.Role, *rbacv1.RoleList]{
				Resource: rbacv1.Resource("roles"), Namespaced: true, CreateOnUpdate: true,
				Create: validation.RoleCreate, Update: validation.RoleUpdate,
			})
			return err
		},
		func() error {
			_, err := add(o, all, registry.Kind[rbacv1.ClusterRole, rbacv1.ClusterRoleList, *rbacv1.ClusterRole, *rbacv1.ClusterRoleList]{
				Resource: rbacv1.Resource("clusterroles"), CreateOnUpdate: true,
				Create: validation.ClusterRoleCreate, Update: validation.ClusterRoleUpdate,
			})
			return err
		},
		func() error {
			_, err := add(o, all, registry.Kind[rbacv1.RoleBinding, rbacv1.RoleBindingList, *rbacv1.RoleBinding, *rbacv1.RoleBindingList]{
				Resource: rbacv1.Resource("rolebindings"), Namespaced: true, CreateOnUpdate: true,
				Create: validation.RoleBindingCreate, Update: validation.RoleBindingUpdate,
			})
			return err
		},
		func() error {
			_, err := add(o, all, registry.Kind[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList, *rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBindingList]{
				Resource: rbacv1.Resource("clusterrolebindings"), CreateOnUpdate: true,
				Create: validation.ClusterRoleBindingCreate, Update: validation.ClusterRoleBindingUpdate,
			})
			return err
		},
	)
	return all, err
}
