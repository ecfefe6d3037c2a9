package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodResize judges an update through pods/resize: CPU and memory of running containers may change, nothing else, and
// never so that the Pod changes its class of service.
func PodResize(pod, old *corev1.Pod) field.ErrorList {
	errs := updatedMeta(pod, old)
	errs = append(errs, podAndSpec(pod, old)...)
	spec := field.NewPath("spec")
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return append(errs, field.Forbidden(field.NewPath(""), "windows pods cannot be resized"))
	}
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(spec.Child("containers"), "containers may not be added or removed on resize"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(spec.Child("initContainers"), "initContainers may not be added or removed on resize"))
	}
	if PodQOS(pod) != PodQOS(old) {
		errs = append(errs, field.Invalid(spec, PodQOS(pod), "Pod QOS Class may not change as a result of resizing"))
	}
	munged := pod.Spec.DeepCopy()
	for i := range munged.Containers {
		errs = append(errs, resized(spec.Child("containers").Index(i).Child("resources"), &munged.Containers[i].Resources, &old.Spec.Containers[i].Resources)...)
	}
	for i := range munged.InitContainers {
		if isSidecar(&old.Spec.InitContainers[i]) {
			errs = append(errs, resized(spec.Child("initContainers").Index(i).Child("resources"), &munged.InitContainers[i].Resources, &old.Spec.InitContainers[i].Resources)...)
		}
	}
	if munged.Resources != nil && old.Spec.Resources != nil {
		errs = append(errs, resized(spec.Child("resources"), munged.Resources, old.Spec.Resources)...)
	}
	if !equality.Semantic.DeepEqual(*munged, old.Spec) {
		errs = append(errs, field.Forbidden(spec, "only cpu and memory resources are mutable\n"+difference(old.Spec, *munged)))
	}
	return errs
}

// resized refuses to take a request or a limit away, and gives now the old value of what may change.
func resized(p *field.Path, now, before *corev1.ResourceRequirements) field.ErrorList {
	errs := resizedList(p.Child("limits"), "resource limits cannot be removed", &now.Limits, before.Limits)
	return append(errs, resizedList(p.Child("requests"), "resource requests cannot be removed", &now.Requests, before.Requests)...)
}

func resizedList(p *field.Path, removed string, now *corev1.ResourceList, before corev1.ResourceList) field.ErrorList {
	var errs field.ErrorList
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		was, had := before[n]
		if _, ok := (*now)[n]; had && !ok {
			errs = append(errs, field.Forbidden(p.Key(string(n)), removed))
			continue
		}
		if had {
			(*now)[n] = was
		} else {
			delete(*now, n)
		}
	}
	return errs
}
