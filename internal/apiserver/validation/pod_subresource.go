package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodEphemeralContainersUpdate judges an update through pods/ephemeralcontainers: containers may be added, and nothing
// that is there may change or go. The rest of the spec is taken from the old Pod by the caller.
func PodEphemeralContainersUpdate(pod, old *corev1.Pod) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	errs := updatedMeta(pod, old)
	errs = append(errs, podAndSpec(pod, old)...)
	byName := map[string]*corev1.EphemeralContainer{}
	for i := range pod.Spec.EphemeralContainers {
		byName[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	at := field.NewPath("spec", "ephemeralContainers")
	for i := range old.Spec.EphemeralContainers {
		before := &old.Spec.EphemeralContainers[i]
		now, ok := byName[before.Name]
		switch {
		case !ok:
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", before.Name)))
		case !equality.Semantic.DeepEqual(*now, *before):
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%s", before.Name, difference(before, now))))
		}
	}
	return errs
}

// PodStatusUpdate judges an update of a Pod's status. The spec is taken from the old Pod by the caller.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := updatedMeta(pod, old)
	p := field.NewPath("status")
	if pod.Spec.NodeName != old.Spec.NodeName {
		errs = append(errs, field.Forbidden(p.Child("nodeName"), "may not be changed directly"))
	}
	if n := pod.Status.NominatedNodeName; n != "" && n != old.Status.NominatedNodeName {
		errs = append(errs, dnsSubdomain(p.Child("nominatedNodeName"), n)...)
	}
	if pod.Status.ObservedGeneration < 0 {
		errs = append(errs, nonNegative(p.Child("observedGeneration"), pod.Status.ObservedGeneration)...)
	}
	for i, c := range pod.Status.Conditions {
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default: // upstream reports these below metadata
			errs = append(errs, qualifiedName(field.NewPath("metadata", "conditions").Index(i).Child("Type"), string(c.Type))...)
		}
		if c.ObservedGeneration < 0 {
			errs = append(errs, nonNegative(p.Child("conditions").Index(i).Child("observedGeneration"), c.ObservedGeneration)...)
		}
	}
	if old.Status.QOSClass != "" && pod.Status.QOSClass != "" {
		errs = append(errs, apivalidation.ValidateImmutableField(pod.Status.QOSClass, old.Status.QOSClass, p.Child("qosClass"))...)
	}
	errs = append(errs, transitions(p.Child("containerStatuses"), pod.Status.ContainerStatuses, old.Status.ContainerStatuses, regularRestarts(&old.Spec))...)
	errs = append(errs, transitions(p.Child("initContainerStatuses"), pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, initRestarts(&old.Spec))...)
	errs = append(errs, transitions(p.Child("ephemeralContainerStatuses"), pod.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses,
		func(*corev1.ContainerStatus) bool { return false })...)
	return append(errs, addresses(p, &pod.Status)...)
}

// allMayRestart tells whether some container's exit may restart all of them, whatever the policies say.
func allMayRestart(spec *corev1.PodSpec) bool {
	all := func(r corev1.ContainerRestartRule) bool {
		return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
	}
	return slices.ContainsFunc(slices.Concat(spec.InitContainers, spec.Containers), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, all)
	})
}

// regularRestarts says which terminated regular container may come back.
func regularRestarts(spec *corev1.PodSpec) func(*corev1.ContainerStatus) bool {
	own, all := map[string]*corev1.Container{}, allMayRestart(spec)
	for i := range spec.Containers {
		own[spec.Containers[i].Name] = &spec.Containers[i]
	}
	return func(s *corev1.ContainerStatus) bool {
		policy := string(spec.RestartPolicy)
		if c := own[s.Name]; c != nil && c.RestartPolicy != nil {
			policy = string(*c.RestartPolicy)
			if len(c.RestartPolicyRules) > 0 {
				return true
			}
		}
		return all || restarts(policy, s)
	}
}

// initRestarts says which terminated init container may come back.
func initRestarts(spec *corev1.PodSpec) func(*corev1.ContainerStatus) bool {
	own, all := map[string]*corev1.Container{}, allMayRestart(spec)
	for i := range spec.InitContainers {
		own[spec.InitContainers[i].Name] = &spec.InitContainers[i]
	}
	return func(s *corev1.ContainerStatus) bool {
		policy := string(spec.RestartPolicy)
		if c := own[s.Name]; c != nil && (isSidecar(c) || len(c.RestartPolicyRules) > 0) {
			return true
		}
		return all || restarts(policy, s)
	}
}

func restarts(policy string, s *corev1.ContainerStatus) bool {
	switch corev1.RestartPolicy(policy) {
	case corev1.RestartPolicyAlways:
		return true
	case corev1.RestartPolicyOnFailure:
		return s.State.Terminated != nil && s.State.Terminated.ExitCode != 0
	}
	return false
}

// transitions keeps terminated what may not come back.
func transitions(p *field.Path, now, before []corev1.ContainerStatus, mayRestart func(*corev1.ContainerStatus) bool) field.ErrorList {
	var errs field.ErrorList
	for i := range before {
		was := &before[i]
		if was.State.Terminated == nil || mayRestart(was) {
			continue
		}
		for j := range now {
			if now[j].Name == was.Name && now[j].State.Terminated == nil {
				errs = append(errs, field.Forbidden(p.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

func addresses(p *field.Path, s *corev1.PodStatus) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, ip := range s.PodIPs {
		errs = append(errs, validation.IsValidIPForLegacyField(p.Child("podIPs").Index(i), ip.IP, false, nil)...)
		if taken.take(ip.IP) {
			errs = append(errs, field.Duplicate(p.Child("podIPs").Index(i), ip))
		}
	}
	if len(s.PodIPs) > maxPodCIDRs {
		errs = append(errs, field.Invalid(p.Child("podIPs"), s.PodIPs, "may specify no more than one IP for each IP family"))
	}
	if len(s.HostIPs) > 0 && s.HostIP != s.HostIPs[0].IP {
		errs = append(errs, field.Invalid(p.Child("hostIPs").Index(0).Child("ip"), s.HostIPs[0].IP, "must be equal to `hostIP`"))
	}
	for i, ip := range s.HostIPs {
		errs = append(errs, validation.IsValidIPForLegacyField(p.Child("hostIPs").Index(i), ip.IP, false, nil)...)
	}
	return errs
}

// PodBinding judges the choice of a node for a Pod.
func PodBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	p := field.NewPath("target")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		errs = append(errs, field.NotSupported(p.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	return append(errs, required(p.Child("name"), b.Target.Name)...)
}
