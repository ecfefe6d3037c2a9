package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NamespaceCreate judges a new namespace.
func NamespaceCreate(ns *corev1.Namespace) field.ErrorList {
	return append(created(&ns.ObjectMeta, false, apivalidation.NameIsDNSLabel), namespaceFinalizers(ns)...)
}

// NamespaceUpdate judges an update of a namespace.
func NamespaceUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return updated(&ns.ObjectMeta, &old.ObjectMeta)
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
	return append(updated(&ns.ObjectMeta, &old.ObjectMeta), namespaceFinalizers(ns)...)
}

func namespaceFinalizers(ns *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("spec", "finalizers")
	for i, f := range ns.Spec.Finalizers {
		errs = append(errs, invalid(at.Index(i), string(f), validation.IsQualifiedName(string(f)))...)
		if !strings.Contains(string(f), "/") && f != corev1.FinalizerKubernetes {
			errs = append(errs, field.Invalid(at.Index(i), string(f), "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// ServiceAccountCreate judges a new service account.
func ServiceAccountCreate(sa *corev1.ServiceAccount) field.ErrorList {
	return created(&sa.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
}

// ServiceAccountUpdate judges an update of a service account.
func ServiceAccountUpdate(sa, old *corev1.ServiceAccount) field.ErrorList {
	return append(updated(&sa.ObjectMeta, &old.ObjectMeta), ServiceAccountCreate(sa)...)
}
