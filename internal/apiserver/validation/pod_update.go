package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const mutableFields = "pod updates may not change fields other than `spec.containers[*].image`," +
	"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// PodUpdate judges what a Pod becomes. Of its spec only images, the deadline, further tolerations, fewer scheduling
// gates and (while gated) a narrower choice of nodes may change; ephemeral containers and resources have subresources
// of their own.
func PodUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := updatedMeta(pod, old)
	errs = append(errs, podAndSpec(pod, old)...)
	spec := field.NewPath("spec")
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(spec.Child("containers"), "pod updates may not add or remove containers"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(spec.Child("initContainers"), "pod updates may not add or remove containers"))
	}
	late := deadlineUpdate(spec.Child("activeDeadlineSeconds"), pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds)
	errs = append(errs, late...)
	if len(late) > 0 && pod.Spec.ActiveDeadlineSeconds != nil {
		return errs
	}
	errs = append(errs, tolerationsUpdate(spec.Child("tolerations"), pod.Spec.Tolerations, old.Spec.Tolerations)...)
	errs = append(errs, gatesUpdate(spec.Child("schedulingGates"), pod.Spec.SchedulingGates, old.Spec.SchedulingGates)...)
	munged := pod.Spec.DeepCopy()
	errs = append(errs, gatedChoice(spec, munged, &old.Spec)...)
	forgiveMutable(munged, &old.Spec)
	if !equality.Semantic.DeepEqual(*munged, old.Spec) {
		errs = append(errs, field.Forbidden(spec, mutableFields+"\n"+difference(old.Spec, *munged)))
	}
	return errs
}

// updatedMeta holds the rules of metadata in every kind of update of a Pod.
func updatedMeta(pod, old *corev1.Pod) field.ErrorList {
	meta := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, meta)
	errs = append(errs, finalizers(meta.Child("finalizers"), pod.Finalizers)...)
	errs = append(errs, annotationsUpdate(meta.Child("annotations"), pod.Annotations, old.Annotations)...)
	return append(errs, podAnnotations(meta.Child("annotations"), pod.Annotations, &pod.Spec)...)
}

// annotationsUpdate keeps the annotations that a running Pod cannot follow.
func annotationsUpdate(p *field.Path, now, before map[string]string) field.ErrorList {
	var errs field.ErrorList
	fixed := map[string]string{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix: "AppArmor annotations"}
	for prefix, what := range fixed {
		for key, value := range before {
			if strings.HasPrefix(key, prefix) {
				if kept, ok := now[key]; !ok || kept != value {
					errs = append(errs, field.Forbidden(p.Key(key), "may not remove or update "+what))
				}
			}
		}
		for key := range now {
			if _, ok := before[key]; !ok && strings.HasPrefix(key, prefix) {
				errs = append(errs, field.Forbidden(p.Key(key), "may not add "+what))
			}
		}
	}
	const mirror = corev1.MirrorPodAnnotationKey
	value, ok := now[mirror]
	was, had := before[mirror]
	switch {
	case had && (!ok || value != was):
		errs = append(errs, field.Forbidden(p.Key(mirror), "may not remove or update mirror pod annotation"))
	case ok && !had:
		errs = append(errs, field.Forbidden(p.Key(mirror), "may not add mirror pod annotation"))
	}
	return errs
}

func deadlineUpdate(p *field.Path, now, before *int64) field.ErrorList {
	switch {
	case now == nil && before == nil:
		return nil
	case now == nil:
		return field.ErrorList{field.Invalid(p, now, "must not update from a positive integer to nil value")}
	case *now < 0 || *now > maxSeconds:
		return field.ErrorList{field.Invalid(p, *now, validation.InclusiveRangeError(0, maxSeconds))}
	case before != nil && *now > *before:
		return field.ErrorList{field.Invalid(p, *now, "must be less than or equal to previous value")}
	}
	return nil
}

// tolerationsUpdate keeps every old toleration, apart from its seconds.
func tolerationsUpdate(p *field.Path, now, before []corev1.Toleration) field.ErrorList {
	for _, o := range before {
		o.TolerationSeconds = nil
		kept := false
		for _, n := range now {
			n.TolerationSeconds = nil
			kept = kept || n == o
		}
		if !kept {
			return field.ErrorList{field.Forbidden(p, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

// gatesUpdate lets gates go but never come.
func gatesUpdate(p *field.Path, now, before []corev1.PodSchedulingGate) field.ErrorList {
	was := names{}
	for _, g := range before {
		was.take(g.Name)
	}
	var errs field.ErrorList
	for i, g := range now {
		if !was[g.Name] {
			errs = append(errs, field.Forbidden(p.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))
		}
	}
	return errs
}

// gatedChoice lets a Pod that was gated be narrowed to fewer nodes, and takes such changes out of munged.
func gatedChoice(p *field.Path, munged, old *corev1.PodSpec) field.ErrorList {
	if len(old.SchedulingGates) == 0 {
		return nil
	}
	var errs field.ErrorList
	for key, value := range old.NodeSelector {
		if munged.NodeSelector[key] != value {
			errs = append(errs, field.Invalid(p.Child("nodeSelector"), munged.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	munged.NodeSelector = old.NodeSelector
	before, now := nodeAffinityOf(old), nodeAffinityOf(munged)
	if before == nil && now == nil {
		return errs
	}
	errs = append(errs, narrowerAffinity(p.Child("affinity", "nodeAffinity"), now, before)...)
	switch {
	case munged.Affinity == nil:
		munged.Affinity = &corev1.Affinity{NodeAffinity: before}
	case before == nil && munged.Affinity.PodAffinity == nil && munged.Affinity.PodAntiAffinity == nil && old.Affinity == nil:
		munged.Affinity = nil
	default:
		munged.Affinity.NodeAffinity = before
	}
	return errs
}

func nodeAffinityOf(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

func narrowerAffinity(p *field.Path, now, before *corev1.NodeAffinity) field.ErrorList {
	if before == nil || before.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	at := p.Child(hardTerms, "nodeSelectorTerms")
	was := before.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	var is []corev1.NodeSelectorTerm
	if now != nil && now.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		is = now.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	if len(was) > 0 && len(is) != len(was) {
		return field.ErrorList{field.Invalid(at, is, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i := range was {
		if !narrows(&is[i], &was[i]) {
			errs = append(errs, field.Invalid(at.Index(i), is[i], "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
}

// narrows says whether a term matches no more nodes than before. One without conditions matches none.
func narrows(now, before *corev1.NodeSelectorTerm) bool {
	if len(before.MatchExpressions)+len(before.MatchFields) == 0 {
		return len(now.MatchExpressions)+len(now.MatchFields) == 0
	}
	return extends(now.MatchExpressions, before.MatchExpressions) && extends(now.MatchFields, before.MatchFields)
}

// extends says whether the list starts with what it was before.
func extends(now, before []corev1.NodeSelectorRequirement) bool {
	return len(now) >= len(before) && equality.Semantic.DeepEqual(append([]corev1.NodeSelectorRequirement{}, now[:len(before)]...),
		append([]corev1.NodeSelectorRequirement{}, before...))
}

// forgiveMutable gives munged the old value of every field that an update may change.
func forgiveMutable(munged, old *corev1.PodSpec) {
	for i := range munged.Containers {
		munged.Containers[i].Image = old.Containers[i].Image
	}
	for i := range munged.InitContainers {
		munged.InitContainers[i].Image = old.InitContainers[i].Image
	}
	munged.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	munged.SchedulingGates = old.SchedulingGates
	munged.Tolerations = old.Tolerations
	if g := old.TerminationGracePeriodSeconds; g != nil && *g < 0 && munged.TerminationGracePeriodSeconds != nil && *munged.TerminationGracePeriodSeconds == 1 {
		munged.TerminationGracePeriodSeconds = g
	}
}
