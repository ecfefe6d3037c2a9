package defaults

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Register makes the scheme apply every default of this package, to single objects and to lists.
func Register(scheme *runtime.Scheme) {
	registerAdmission(scheme)
	add(scheme, SetPod, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	add(scheme, SetNamespace, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
	add(scheme, SetNode, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	add(scheme, SetSecret, func(l *corev1.SecretList) []corev1.Secret { return l.Items })
	add(scheme, SetLimitRange, func(l *corev1.LimitRangeList) []corev1.LimitRange { return l.Items })
	add(scheme, SetResourceQuota, func(l *corev1.ResourceQuotaList) []corev1.ResourceQuota { return l.Items })
	add(scheme, SetPodTemplate, func(l *corev1.PodTemplateList) []corev1.PodTemplate { return l.Items })
	add(scheme, SetDeployment, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items })
	add(scheme, SetReplicaSet, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	add(scheme, SetPriorityClass, func(l *schedulingv1.PriorityClassList) []schedulingv1.PriorityClass { return l.Items })
	add(scheme, SetRoleBinding, func(l *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return l.Items })
	add(scheme, SetClusterRoleBinding, func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })
}

// object is a pointer to an API type.
type object[T any] interface {
	*T
	runtime.Object
}

// add registers the defaults of a type, for single objects and for lists of them.
func add[T, L any, P object[T], Q object[L]](scheme *runtime.Scheme, set func(P), items func(Q) []T) {
	scheme.AddTypeDefaultingFunc(P(new(T)), func(o any) {
		if p, ok := o.(P); ok {
			set(p)
		}
	})
	scheme.AddTypeDefaultingFunc(Q(new(L)), func(o any) {
		list, ok := o.(Q)
		if !ok {
			return
		}
		all := items(list)
		for i := range all {
			set(&all[i])
		}
	})
}
