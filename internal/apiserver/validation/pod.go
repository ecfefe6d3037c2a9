package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodCreate judges a new Pod.
func PodCreate(pod *corev1.Pod) field.ErrorList {
	errs := podAndSpec(pod, nil)
	spec := field.NewPath("spec")
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(spec.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	errs = append(errs, seccompAgreement(pod)...)
	return append(errs, appArmorAgreement(pod)...)
}

// podAndSpec holds the rules of a Pod as a whole, which are the same before and after an update.
func podAndSpec(pod, old *corev1.Pod) field.ErrorList {
	meta := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, meta)
	errs = append(errs, finalizers(meta.Child("finalizers"), pod.Finalizers)...)
	errs = append(errs, podAnnotations(meta.Child("annotations"), pod.Annotations, &pod.Spec)...)
	var oldSpec *corev1.PodSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	errs = append(errs, podSpec(field.NewPath("spec"), &pod.Spec, &pod.ObjectMeta, oldSpec)...)
	return append(errs, tokenAccounts(field.NewPath("spec", "volumes"), &pod.Spec)...)
}

// finalizers wants each finalizer to be qualified, or one of those that are older than this rule.
func finalizers(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		switch name {
		case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
			continue
		}
		if !strings.Contains(name, "/") {
			errs = append(errs, field.Invalid(p.Index(i), name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// tokenAccounts refuses the token of a service account in a Pod that has none.
func tokenAccounts(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.ServiceAccountName != "" {
		return nil
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Projected == nil {
			continue
		}
		for j := range spec.Volumes[i].Projected.Sources {
			if spec.Volumes[i].Projected.Sources[j].ServiceAccountToken != nil {
				errs = append(errs, field.Forbidden(p.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}

// podTemplate holds the rules of the template that a controller makes Pods from.
func podTemplate(p *field.Path, t *corev1.PodTemplateSpec, old *corev1.PodTemplateSpec) field.ErrorList {
	errs := templateMeta(p.Child("metadata"), &t.ObjectMeta)
	errs = append(errs, podAnnotations(p.Child("metadata", "annotations"), t.Annotations, &t.Spec)...)
	var oldSpec *corev1.PodSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	errs = append(errs, podSpec(p.Child("spec"), &t.Spec, nil, oldSpec)...)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(p.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}
