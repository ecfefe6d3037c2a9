package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// derive completes a new Pod with what follows from its own words.
func derive(pod *corev1.Pod) {
	if a := pod.Spec.Affinity; a != nil {
		if f := a.PodAffinity; f != nil {
			deriveTerms(f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
		}
		if f := a.PodAntiAffinity; f != nil {
			deriveTerms(f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
		}
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		deriveSelector(c.LabelSelector, c.MatchLabelKeys, pod.Labels, metav1.LabelSelectorOpIn)
	}
	deriveAppArmor(pod)
	if len(pod.Spec.SchedulingGates) > 0 && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled }) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
}

func deriveTerms(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, labels map[string]string) {
	one := func(t *corev1.PodAffinityTerm) {
		deriveSelector(t.LabelSelector, t.MatchLabelKeys, labels, metav1.LabelSelectorOpIn)
		deriveSelector(t.LabelSelector, t.MismatchLabelKeys, labels, metav1.LabelSelectorOpNotIn)
	}
	for i := range hard {
		one(&hard[i])
	}
	for i := range soft {
		one(&soft[i].PodAffinityTerm)
	}
}

// deriveSelector adds the Pod's own value of each key to the selector; keys that the Pod lacks are ignored.
func deriveSelector(s *metav1.LabelSelector, keys []string, labels map[string]string, op metav1.LabelSelectorOperator) {
	if s == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}

// deriveAppArmor lets clients and nodes of before and after AppArmor's fields understand each other.
func deriveAppArmor(pod *corev1.Pod) {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return
	}
	var whole *corev1.AppArmorProfile
	if pod.Spec.SecurityContext != nil {
		whole = pod.Spec.SecurityContext.AppArmorProfile
	}
	one := func(c *corev1.Container) {
		key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
		said, annotated := pod.Annotations[key]
		own := c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil
		switch {
		case annotated && !own:
			deriveProfile(c, said, whole)
		case !annotated && (own || whole != nil):
			profile := whole
			if own {
				profile = c.SecurityContext.AppArmorProfile
			}
			if words := appArmorWords(profile); words != "" {
				if pod.Annotations == nil {
					pod.Annotations = map[string]string{}
				}
				pod.Annotations[key] = words
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		one(&pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		one(&pod.Spec.Containers[i])
	}
}

// deriveProfile sets a container's profile from its annotation, unless the Pod's own says the same.
func deriveProfile(c *corev1.Container, said string, whole *corev1.AppArmorProfile) {
	var profile *corev1.AppArmorProfile
	if file, ok := strings.CutPrefix(said, corev1.DeprecatedAppArmorBetaProfileNamePrefix); ok && file != "" {
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &file}
	}
	switch said {
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	}
	if profile == nil || whole != nil && appArmorWords(whole) == said {
		return
	}
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	c.SecurityContext.AppArmorProfile = profile
}
