package informer

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers/admissionregistration"
	admissionregistrationv1 "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/informers/apps"
	appsv1 "k8s.io/client-go/informers/apps/v1"
	"k8s.io/client-go/informers/certificates"
	certificatesv1 "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/informers/coordination"
	coordinationv1 "k8s.io/client-go/informers/coordination/v1"
	"k8s.io/client-go/informers/core"
	corev1 "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/informers/policy"
	policyv1 "k8s.io/client-go/informers/policy/v1"
	"k8s.io/client-go/informers/rbac"
	rbacv1 "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/informers/scheduling"
	schedulingv1 "k8s.io/client-go/informers/scheduling/v1"
)

// Of each group there is version 1. As with the factory, what the embedded interfaces lend panics.
type (
	coreGroup struct {
		core.Interface
		f *Factory
	}
	appsGroup struct {
		apps.Interface
		f *Factory
	}
	policyGroup struct {
		policy.Interface
		f *Factory
	}
	rbacGroup struct {
		rbac.Interface
		f *Factory
	}
	schedulingGroup struct {
		scheduling.Interface
		f *Factory
	}
	coordinationGroup struct {
		coordination.Interface
		f *Factory
	}
	certificatesGroup struct {
		certificates.Interface
		f *Factory
	}
	admissionregistrationGroup struct {
		admissionregistration.Interface
		f *Factory
	}
)

// Core has informers of Pods, Namespaces and so on.
func (f *Factory) Core() core.Interface { return coreGroup{f: f} }

// V1 implements core.Interface.
func (g coreGroup) V1() corev1.Interface {
	return corev1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Apps has informers of Deployments and ReplicaSets.
func (f *Factory) Apps() apps.Interface { return appsGroup{f: f} }

// V1 implements apps.Interface.
func (g appsGroup) V1() appsv1.Interface {
	return appsv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Policy has informers of PodDisruptionBudgets.
func (f *Factory) Policy() policy.Interface { return policyGroup{f: f} }

// V1 implements policy.Interface.
func (g policyGroup) V1() policyv1.Interface {
	return policyv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Rbac has informers of roles and their bindings.
func (f *Factory) Rbac() rbac.Interface { return rbacGroup{f: f} }

// V1 implements rbac.Interface.
func (g rbacGroup) V1() rbacv1.Interface {
	return rbacv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Scheduling has informers of PriorityClasses.
func (f *Factory) Scheduling() scheduling.Interface { return schedulingGroup{f: f} }

// V1 implements scheduling.Interface.
func (g schedulingGroup) V1() schedulingv1.Interface {
	return schedulingv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Coordination has informers of Leases.
func (f *Factory) Coordination() coordination.Interface { return coordinationGroup{f: f} }

// V1 implements coordination.Interface.
func (g coordinationGroup) V1() coordinationv1.Interface {
	return coordinationv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Certificates has informers of CertificateSigningRequests.
func (f *Factory) Certificates() certificates.Interface { return certificatesGroup{f: f} }

// V1 implements certificates.Interface.
func (g certificatesGroup) V1() certificatesv1.Interface {
	return certificatesv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}

// Admissionregistration has informers of webhooks and policies.
func (f *Factory) Admissionregistration() admissionregistration.Interface {
	return admissionregistrationGroup{f: f}
}

// V1 implements admissionregistration.Interface.
func (g admissionregistrationGroup) V1() admissionregistrationv1.Interface {
	return admissionregistrationv1.New(g.f, metav1.NamespaceAll, g.f.cfg.Tweak)
}
