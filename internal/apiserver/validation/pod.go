package validation

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podDeletionCost is the annotation that ranks the Pods of a ReplicaSet for removal.
const podDeletionCost = corev1.PodDeletionCost

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
	return errs
}

// podAndSpec holds the rules of a Pod as a whole, which are the same before and after an update.
func podAndSpec(pod, old *corev1.Pod) field.ErrorList {
	meta := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, meta)
	errs = append(errs, podAnnotations(meta.Child("annotations"), pod.Annotations, &pod.Spec)...)
	var oldSpec *corev1.PodSpec
	if old != nil {
		oldSpec = &old.Spec
	}
	errs = append(errs, podSpec(field.NewPath("spec"), &pod.Spec, &pod.ObjectMeta, oldSpec)...)
	return append(errs, appArmorAgreement(pod)...)
}

// podAnnotations holds the rules of the annotations that have a meaning for Pods.
func podAnnotations(p *field.Path, annotations map[string]string, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if _, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && spec.NodeName == "" {
		errs = append(errs, field.Invalid(p.Key(corev1.MirrorPodAnnotationKey), annotations[corev1.MirrorPodAnnotationKey],
			"must set spec.nodeName if mirror pod annotation is set"))
	}
	if cost, ok := annotations[podDeletionCost]; ok {
		if _, err := strconv.ParseInt(cost, 10, 32); err != nil || strings.HasPrefix(cost, "+") {
			errs = append(errs, field.Invalid(p.Key(podDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	for key, profile := range annotations {
		if key == corev1.SeccompPodAnnotationKey || strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			errs = append(errs, seccompAnnotation(p.Key(key), profile)...)
		}
		if name, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix); ok {
			errs = append(errs, appArmorAnnotation(p.Key(key), name, profile, spec)...)
		}
	}
	return errs
}

func seccompAnnotation(p *field.Path, profile string) field.ErrorList {
	switch profile {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return nil
	}
	if file, ok := strings.CutPrefix(profile, corev1.SeccompLocalhostProfileNamePrefix); ok {
		return descendingPath(p, file)
	}
	return field.ErrorList{field.Invalid(p, profile, "must be a valid seccomp profile")}
}

func appArmorAnnotation(p *field.Path, container, profile string, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	found := false
	eachContainer(field.NewPath("spec"), spec, func(_ *field.Path, c *corev1.Container) { found = found || c.Name == container })
	if !found {
		errs = append(errs, field.Invalid(p, container, "container not found"))
	}
	known := profile == "" || profile == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault || profile == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	if !known && !strings.HasPrefix(profile, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
		errs = append(errs, field.Invalid(p, profile, "invalid AppArmor profile name: \""+profile+"\""))
	}
	return errs
}

// appArmorAgreement wants the old annotation and the new field to say the same.
func appArmorAgreement(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	eachContainer(field.NewPath("spec"), &pod.Spec, func(at *field.Path, c *corev1.Container) {
		said, ok := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		if !ok || c.SecurityContext == nil || c.SecurityContext.AppArmorProfile == nil {
			return
		}
		a, at := c.SecurityContext.AppArmorProfile, at.Child("securityContext", "appArmorProfile")
		if want := appArmorWords(a); want != said && len(appArmor(at, a)) == 0 {
			errs = append(errs, field.Forbidden(at.Child("type"), "apparmor type in annotation and field must match"))
		}
	})
	return errs
}

// appArmorWords is what the annotation says for a profile.
func appArmorWords(a *corev1.AppArmorProfile) string {
	switch a.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		if a.LocalhostProfile == nil {
			return ""
		}
		return corev1.DeprecatedAppArmorBetaProfileNamePrefix + *a.LocalhostProfile
	case corev1.AppArmorProfileTypeUnconfined:
		return corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	}
	return corev1.DeprecatedAppArmorBetaProfileRuntimeDefault
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
