package validation

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSpec holds the rules of a spec at p. meta is the Pod's, or nil for a template; old is the spec that an update
// starts from, or nil.
func podSpec(p *field.Path, spec *corev1.PodSpec, meta *metav1.ObjectMeta, old *corev1.PodSpec) field.ErrorList {
	valid, errs := volumes(p.Child("volumes"), spec.Volumes, meta)
	claims, claimErrs := resourceClaims(p.Child("resourceClaims"), spec.ResourceClaims, meta)
	errs = append(errs, claimErrs...)
	c := &podContext{spec: spec, volumes: valid, claims: claims, template: meta == nil, old: old}
	errs = append(errs, c.containers(p.Child("containers"))...)
	errs = append(errs, c.initContainers(p.Child("initContainers"))...)
	errs = append(errs, c.ephemeralContainers(p.Child("ephemeralContainers"))...)
	errs = append(errs, podResources(p.Child("resources"), spec, claims)...)
	errs = append(errs, hostNetworkPorts(p, spec, c.template)...)
	errs = append(errs, requiredOneOf(p.Child("restartPolicy"), spec.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, dns(p, spec)...)
	errs = append(errs, metavalidation.ValidateLabels(spec.NodeSelector, p.Child("nodeSelector"))...)
	errs = append(errs, podSecurityContext(p, spec, old)...)
	errs = append(errs, affinity(p.Child("affinity"), spec.Affinity)...)
	errs = append(errs, readinessGates(p.Child("readinessGates"), spec.ReadinessGates)...)
	errs = append(errs, schedulingGates(p.Child("schedulingGates"), spec.SchedulingGates)...)
	errs = append(errs, spread(p.Child("topologySpreadConstraints"), spec.TopologySpreadConstraints)...)
	errs = append(errs, hostProcess(p, spec)...)
	errs = append(errs, userNamespace(p, spec)...)
	errs = append(errs, references(p, spec)...)
	errs = append(errs, deadline(p.Child("activeDeadlineSeconds"), spec.ActiveDeadlineSeconds)...)
	errs = append(errs, hostnames(p, spec)...)
	errs = append(errs, tolerations(p.Child("tolerations"), spec.Tolerations)...)
	if v := spec.PreemptionPolicy; v != nil {
		errs = append(errs, requiredOneOf(p.Child("preemptionPolicy"), *v, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if spec.Overhead != nil {
		errs = append(errs, containerResources(p.Child("overhead"), &corev1.ResourceRequirements{Limits: spec.Overhead}, nil)...)
	}
	errs = append(errs, operatingSystem(p, spec)...)
	return append(errs, envFiles(p, spec)...)
}

// references holds the rules of the names of other objects. Image pull secrets have none: any name may be listed.
func references(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for _, ref := range []struct{ name, value string }{
		{"serviceAccountName", spec.ServiceAccountName},
		{"nodeName", spec.NodeName},
		{"priorityClassName", spec.PriorityClassName},
	} {
		if ref.value != "" {
			errs = append(errs, dnsSubdomain(p.Child(ref.name), ref.value)...)
		}
	}
	if spec.RuntimeClassName != nil {
		errs = append(errs, dnsSubdomain(p.Child("runtimeClassName"), *spec.RuntimeClassName)...)
	}
	return errs
}
