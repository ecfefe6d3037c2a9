package validation

import (
	"encoding/json"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podDeletionCost is the annotation that ranks the Pods of a ReplicaSet for removal.
const podDeletionCost = corev1.PodDeletionCost

// tolerationsAnnotation held tolerations, as JSON, before Kubernetes 1.6; it is still judged.
const tolerationsAnnotation = "scheduler.alpha.kubernetes.io/tolerations"

func annotatedTolerations(p *field.Path, value string) field.ErrorList {
	if value == "" {
		return nil
	}
	var list []corev1.Toleration
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return field.ErrorList{field.Invalid(p, tolerationsAnnotation, err.Error())}
	}
	return tolerations(p.Child(tolerationsAnnotation), list)
}

// podAnnotations holds the rules of the annotations that have a meaning for Pods.
func podAnnotations(p *field.Path, annotations map[string]string, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if _, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && spec.NodeName == "" {
		errs = append(errs, field.Invalid(p.Key(corev1.MirrorPodAnnotationKey), annotations[corev1.MirrorPodAnnotationKey],
			"must set spec.nodeName if mirror pod annotation is set"))
	}
	errs = append(errs, annotatedTolerations(p, annotations[tolerationsAnnotation])...)
	if cost, ok := annotations[podDeletionCost]; ok {
		zeros := len(cost) > 1 && cost[0] == '0'
		if _, err := strconv.ParseInt(cost, 10, 32); err != nil || zeros || strings.HasPrefix(cost, "+") {
			errs = append(errs, field.Invalid(p.Key(podDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	for key, profile := range annotations {
		if key == corev1.SeccompPodAnnotationKey || strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			errs = append(errs, seccompAnnotation(p.Child(key), profile)...)
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

// agreement wants the annotations of the past and the fields that took over to say the same, where both are there.
func agreement(p *field.Path, annotations map[string]string, spec *corev1.PodSpec) field.ErrorList {
	return append(seccompAgreement(p, annotations, spec), appArmorAgreement(p, annotations, spec)...)
}

func appArmorAgreement(p *field.Path, annotations map[string]string, spec *corev1.PodSpec) field.ErrorList {
	if spec.OS != nil && spec.OS.Name == corev1.Windows {
		return nil
	}
	var errs field.ErrorList
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		said, ok := annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		var profile *corev1.AppArmorProfile
		if spec.SecurityContext != nil {
			profile = spec.SecurityContext.AppArmorProfile
		}
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		at = at.Child("securityContext", "appArmorProfile")
		if !ok || profile == nil || len(appArmor(at, profile)) > 0 || appArmorWords(profile) == said {
			return
		}
		if profile.Type == corev1.AppArmorProfileTypeLocalhost && strings.HasPrefix(said, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
			errs = append(errs, field.Forbidden(at.Child("localhostProfile"), "apparmor profile in annotation and field must match"))
			return
		}
		errs = append(errs, field.Forbidden(at.Child("type"), "apparmor type in annotation and field must match"))
	})
	return errs
}

func seccompAgreement(p *field.Path, annotations map[string]string, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if sc := spec.SecurityContext; sc != nil && sc.SeccompProfile != nil {
		errs = append(errs, seccompMatch(p.Child("securityContext", "seccompProfile"), annotations, corev1.SeccompPodAnnotationKey, sc.SeccompProfile)...)
	}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		if c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil {
			errs = append(errs, seccompMatch(at.Child("securityContext", "seccompProfile"), annotations, corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext.SeccompProfile)...)
		}
	})
	return errs
}

func seccompMatch(p *field.Path, annotations map[string]string, key string, s *corev1.SeccompProfile) field.ErrorList {
	said, ok := annotations[key]
	if !ok {
		return nil
	}
	file, local := strings.CutPrefix(said, corev1.SeccompLocalhostProfileNamePrefix)
	match := true
	switch s.Type {
	case corev1.SeccompProfileTypeUnconfined:
		match = said == corev1.SeccompProfileNameUnconfined
	case corev1.SeccompProfileTypeRuntimeDefault:
		match = said == corev1.SeccompProfileRuntimeDefault || said == corev1.DeprecatedSeccompProfileDockerDefault
	case corev1.SeccompProfileTypeLocalhost:
		match = local
		if local && (s.LocalhostProfile == nil || *s.LocalhostProfile != file) {
			return field.ErrorList{field.Forbidden(p.Child("localhostProfile"), "seccomp profile in annotation and field must match")}
		}
	}
	if match {
		return nil
	}
	return field.ErrorList{field.Forbidden(p.Child("type"), "seccomp type in annotation and field must match")}
}
