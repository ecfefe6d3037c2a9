package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NamespaceCreate judges a new namespace. The errors of its finalizers do not say which.
func NamespaceCreate(ns *corev1.Namespace) field.ErrorList {
	errs := created(&ns.ObjectMeta, false, apivalidation.NameIsDNSLabel)
	for _, f := range ns.Spec.Finalizers {
		errs = append(errs, namespaceFinalizer(field.NewPath("spec", "finalizers"), f)...)
	}
	return errs
}

// NamespaceUpdate judges an update of a namespace.
func NamespaceUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return append(NamespaceCreate(ns), updated(&ns.ObjectMeta, &old.ObjectMeta)...)
}

// NamespaceStatusUpdate wants the phase to say whether the namespace is being deleted.
func NamespaceStatusUpdate(ns, old *corev1.Namespace) field.ErrorList {
	errs := updated(&ns.ObjectMeta, &old.ObjectMeta)
	at := field.NewPath("status", "Phase")
	if ns.DeletionTimestamp.IsZero() {
		if ns.Status.Phase != corev1.NamespaceActive {
			errs = append(errs, field.Invalid(at, ns.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
		}
	} else if ns.Status.Phase != corev1.NamespaceTerminating {
		errs = append(errs, field.Invalid(at, ns.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return errs
}

// NamespaceFinalizeUpdate judges an update through namespaces/finalize.
func NamespaceFinalizeUpdate(ns, old *corev1.Namespace) field.ErrorList {
	errs := updated(&ns.ObjectMeta, &old.ObjectMeta)
	for i, f := range ns.Spec.Finalizers {
		errs = append(errs, namespaceFinalizer(field.NewPath("spec", "finalizers").Index(i), f)...)
	}
	return errs
}

func namespaceFinalizer(p *field.Path, f corev1.FinalizerName) field.ErrorList {
	return append(qualifiedName(p, string(f)), finalizer(p, string(f))...)
}

// ServiceAccountCreate judges a new service account.
func ServiceAccountCreate(sa *corev1.ServiceAccount) field.ErrorList {
	return created(&sa.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
}

// ServiceAccountUpdate judges an update of a service account.
func ServiceAccountUpdate(sa, old *corev1.ServiceAccount) field.ErrorList {
	return append(updated(&sa.ObjectMeta, &old.ObjectMeta), ServiceAccountCreate(sa)...)
}
