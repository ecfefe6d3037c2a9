package validation

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// nameRule judges the name of an object.
type nameRule = apivalidation.ValidateNameFunc

// created holds the rules of the metadata of a new object.
func created(meta *metav1.ObjectMeta, namespaced bool, name nameRule) field.ErrorList {
	return apivalidation.ValidateObjectMeta(meta, namespaced, name, field.NewPath("metadata"))
}

// updated holds the rules of how metadata may change.
func updated(meta, old *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(meta, old, field.NewPath("metadata"))
}

// templateMeta holds the rules of the metadata of a template, which has no name.
func templateMeta(p *field.Path, meta *metav1.ObjectMeta) field.ErrorList {
	errs := apivalidation.ValidateAnnotations(meta.Annotations, p.Child("annotations"))
	return append(errs, metavalidation.ValidateLabels(meta.Labels, p.Child("labels"))...)
}
