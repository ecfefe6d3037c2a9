package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
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
	return append(errs, agreement(spec, pod.Annotations, &pod.Spec)...)
}

// podAndSpec holds the rules of a Pod as a whole, which are the same before and after an update.
func podAndSpec(pod, old *corev1.Pod) field.ErrorList {
	errs := created(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	errs = append(errs, podAnnotations(field.NewPath("metadata", "annotations"), pod.Annotations, &pod.Spec)...)
	var oldSpec *corev1.PodSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	errs = append(errs, podSpec(field.NewPath("spec"), &pod.Spec, &pod.ObjectMeta, oldSpec)...)
	return append(errs, tokenAccounts(field.NewPath("spec", "volumes"), &pod.Spec)...)
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
	errs := templateMeta(p, &t.ObjectMeta)
	errs = append(errs, podAnnotations(p.Child("annotations"), t.Annotations, &t.Spec)...)
	var oldSpec *corev1.PodSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	errs = append(errs, podSpec(p.Child("spec"), &t.Spec, nil, oldSpec)...)
	errs = append(errs, agreement(p.Child("spec"), t.Annotations, &t.Spec)...)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(p.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}
