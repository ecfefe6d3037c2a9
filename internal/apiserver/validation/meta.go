package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// nameRule judges the name of an object.
type nameRule = apivalidation.ValidateNameFunc

// created holds the rules of the metadata of a new object.
func created(meta *metav1.ObjectMeta, namespaced bool, name nameRule) field.ErrorList {
	p := field.NewPath("metadata")
	return append(createdLoosely(meta, namespaced, name), finalizers(p.Child("finalizers"), meta.Finalizers)...)
}

// updated holds the rules of how metadata may change.
func updated(meta, old *metav1.ObjectMeta) field.ErrorList {
	p := field.NewPath("metadata")
	return append(updatedLoosely(meta, old), finalizers(p.Child("finalizers"), meta.Finalizers)...)
}

// createdLoosely is created for the groups that upstream judges with its libraries alone: any finalizer will do.
func createdLoosely(meta *metav1.ObjectMeta, namespaced bool, name nameRule) field.ErrorList {
	return apivalidation.ValidateObjectMeta(meta, namespaced, name, field.NewPath("metadata"))
}

// updatedLoosely is updated for those groups.
func updatedLoosely(meta, old *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(meta, old, field.NewPath("metadata"))
}

// finalizers wants each finalizer to be qualified, or one of those that are older than this rule.
func finalizers(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		errs = append(errs, finalizer(p.Index(i), name)...)
	}
	return errs
}

func finalizer(p *field.Path, name string) field.ErrorList {
	switch name {
	case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return nil
	}
	if strings.Contains(name, "/") {
		return nil
	}
	return field.ErrorList{field.Invalid(p, name, "name is neither a standard finalizer name nor is it fully qualified")}
}

// templateMeta holds the rules of the metadata of a template, which has no name. Their errors leave "metadata" out, as
// upstream's do.
func templateMeta(p *field.Path, meta *metav1.ObjectMeta) field.ErrorList {
	errs := apivalidation.ValidateAnnotations(meta.Annotations, p.Child("annotations"))
	return append(errs, metavalidation.ValidateLabels(meta.Labels, p.Child("labels"))...)
}
