package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
			Message: "Scheduling is blocked due to non-empty scheduling gates", LastTransitionTime: metav1.Now(),
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

// deriveAppArmor sets the AppArmor profile that a container has by annotation alone, as clients of before 1.30 say it,
// unless the whole Pod's is the same.
func deriveAppArmor(pod *corev1.Pod) {
	eachAppArmorAnnotation(pod, func(c *corev1.Container, _ string, profile *corev1.AppArmorProfile) {
		if profile == nil || equality.Semantic.DeepEqual(profile, podAppArmor(pod)) {
			return
		}
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.AppArmorProfile = profile
	})
}

func podAppArmor(pod *corev1.Pod) *corev1.AppArmorProfile {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.AppArmorProfile
}

// eachAppArmorAnnotation visits the containers whose AppArmor profile is said by annotation alone: the annotation's key,
// and the profile, nil if it is none.
func eachAppArmorAnnotation(pod *corev1.Pod, visit func(c *corev1.Container, key string, profile *corev1.AppArmorProfile)) {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
			said, ok := pod.Annotations[key]
			if ok && (c.SecurityContext == nil || c.SecurityContext.AppArmorProfile == nil) {
				visit(c, key, annotatedProfile(said))
			}
		}
	}
}

// annotatedProfile is the profile that an annotation means, nil if none that could be.
func annotatedProfile(said string) *corev1.AppArmorProfile {
	switch said {
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	}
	file, ok := strings.CutPrefix(said, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	profile := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &file}
	if !ok || file == "" || len(appArmor(nil, profile)) > 0 {
		return nil
	}
	return profile
}
