package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodWarnings: rules follow.
func PodWarnings(pod, old *corev1.Pod) []string { return nil }

// NamespaceCreate: rules follow.
func NamespaceCreate(o *corev1.Namespace) field.ErrorList { return nil }

// NamespaceUpdate: rules follow.
func NamespaceUpdate(o, old *corev1.Namespace) field.ErrorList { return nil }

// NamespaceStatusUpdate: rules follow.
func NamespaceStatusUpdate(o, old *corev1.Namespace) field.ErrorList { return nil }

// ConfigMapCreate: rules follow.
func ConfigMapCreate(o *corev1.ConfigMap) field.ErrorList { return nil }

// ConfigMapUpdate: rules follow.
func ConfigMapUpdate(o, old *corev1.ConfigMap) field.ErrorList { return nil }

// SecretCreate: rules follow.
func SecretCreate(o *corev1.Secret) field.ErrorList { return nil }

// SecretUpdate: rules follow.
func SecretUpdate(o, old *corev1.Secret) field.ErrorList { return nil }

// ServiceAccountCreate: rules follow.
func ServiceAccountCreate(o *corev1.ServiceAccount) field.ErrorList { return nil }

// ServiceAccountUpdate: rules follow.
func ServiceAccountUpdate(o, old *corev1.ServiceAccount) field.ErrorList { return nil }

// NodeCreate: rules follow.
func NodeCreate(o *corev1.Node) field.ErrorList { return nil }

// NodeUpdate: rules follow.
func NodeUpdate(o, old *corev1.Node) field.ErrorList { return nil }

// EventCreate: rules follow.
func EventCreate(o *corev1.Event) field.ErrorList { return nil }

// EventUpdate: rules follow.
func EventUpdate(o, old *corev1.Event) field.ErrorList { return nil }

// ResourceQuotaCreate: rules follow.
func ResourceQuotaCreate(o *corev1.ResourceQuota) field.ErrorList { return nil }

// ResourceQuotaUpdate: rules follow.
func ResourceQuotaUpdate(o, old *corev1.ResourceQuota) field.ErrorList { return nil }

// ResourceQuotaStatusUpdate: rules follow.
func ResourceQuotaStatusUpdate(o, old *corev1.ResourceQuota) field.ErrorList { return nil }

// LimitRangeCreate: rules follow.
func LimitRangeCreate(o *corev1.LimitRange) field.ErrorList { return nil }

// LimitRangeUpdate: rules follow.
func LimitRangeUpdate(o, old *corev1.LimitRange) field.ErrorList { return nil }

// LeaseCreate: rules follow.
func LeaseCreate(o *coordinationv1.Lease) field.ErrorList { return nil }

// LeaseUpdate: rules follow.
func LeaseUpdate(o, old *coordinationv1.Lease) field.ErrorList { return nil }

// DeploymentCreate: rules follow.
func DeploymentCreate(o *appsv1.Deployment) field.ErrorList { return nil }

// DeploymentUpdate: rules follow.
func DeploymentUpdate(o, old *appsv1.Deployment) field.ErrorList { return nil }

// DeploymentStatusUpdate: rules follow.
func DeploymentStatusUpdate(o, old *appsv1.Deployment) field.ErrorList { return nil }

// ReplicaSetCreate: rules follow.
func ReplicaSetCreate(o *appsv1.ReplicaSet) field.ErrorList { return nil }

// ReplicaSetUpdate: rules follow.
func ReplicaSetUpdate(o, old *appsv1.ReplicaSet) field.ErrorList { return nil }

// ReplicaSetStatusUpdate: rules follow.
func ReplicaSetStatusUpdate(o, old *appsv1.ReplicaSet) field.ErrorList { return nil }

// PriorityClassCreate: rules follow.
func PriorityClassCreate(o *schedulingv1.PriorityClass) field.ErrorList { return nil }

// PriorityClassUpdate: rules follow.
func PriorityClassUpdate(o, old *schedulingv1.PriorityClass) field.ErrorList { return nil }

// RuntimeClassCreate: rules follow.
func RuntimeClassCreate(o *nodev1.RuntimeClass) field.ErrorList { return nil }

// RuntimeClassUpdate: rules follow.
func RuntimeClassUpdate(o, old *nodev1.RuntimeClass) field.ErrorList { return nil }

// PodDisruptionBudgetCreate: rules follow.
func PodDisruptionBudgetCreate(o *policyv1.PodDisruptionBudget) field.ErrorList { return nil }

// PodDisruptionBudgetUpdate: rules follow.
func PodDisruptionBudgetUpdate(o, old *policyv1.PodDisruptionBudget) field.ErrorList { return nil }

// PodDisruptionBudgetStatusUpdate: rules follow.
func PodDisruptionBudgetStatusUpdate(o, old *policyv1.PodDisruptionBudget) field.ErrorList {
	return nil
}

// RoleCreate: rules follow.
func RoleCreate(o *rbacv1.Role) field.ErrorList { return nil }

// RoleUpdate: rules follow.
func RoleUpdate(o, old *rbacv1.Role) field.ErrorList { return nil }

// ClusterRoleCreate: rules follow.
func ClusterRoleCreate(o *rbacv1.ClusterRole) field.ErrorList { return nil }

// ClusterRoleUpdate: rules follow.
func ClusterRoleUpdate(o, old *rbacv1.ClusterRole) field.ErrorList { return nil }

// RoleBindingCreate: rules follow.
func RoleBindingCreate(o *rbacv1.RoleBinding) field.ErrorList { return nil }

// RoleBindingUpdate: rules follow.
func RoleBindingUpdate(o, old *rbacv1.RoleBinding) field.ErrorList { return nil }

// ClusterRoleBindingCreate: rules follow.
func ClusterRoleBindingCreate(o *rbacv1.ClusterRoleBinding) field.ErrorList { return nil }

// ClusterRoleBindingUpdate: rules follow.
func ClusterRoleBindingUpdate(o, old *rbacv1.ClusterRoleBinding) field.ErrorList { return nil }

// NamespaceFinalizeUpdate: rules follow.
func NamespaceFinalizeUpdate(o, old *corev1.Namespace) field.ErrorList { return nil }
