package validation

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodResize judges an update through pods/resize: CPU and memory of running containers may change, nothing else, and
// never so that the Pod changes its class of service.
func PodResize(pod, old *corev1.Pod) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	errs := updatedMeta(pod, old)
	errs = append(errs, podAndSpec(pod, old)...)
	spec := field.NewPath("spec")
	if PodQOS(pod) != cmp.Or(old.Status.QOSClass, PodQOS(old)) {
		errs = append(errs, field.Invalid(spec, string(pod.Status.QOSClass), "Pod QOS Class may not change as a result of resizing"))
	}
	if !reportsResources(old) {
		errs = append(errs, field.Forbidden(spec, "Pod running on node without support for resize"))
	}
	if order := sameContainers(spec, &pod.Spec, &old.Spec); len(order) > 0 {
		return append(errs, order...)
	}
	munged := pod.Spec.DeepCopy()
	errs = append(errs, resizedPod(spec, munged, &old.Spec)...)
	errs = append(errs, resizedContainers(spec, munged, &old.Spec)...)
	if len(errs) == 0 && !equality.Semantic.DeepEqual(*munged, old.Spec) {
		errs = append(errs, field.Forbidden(spec, "only cpu and memory resources are mutable"))
	}
	return errs
}

// reportsResources says whether the Pod's node can resize: a running container then says what it has.
func reportsResources(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.State.Running != nil {
			return s.Resources != nil
		}
	}
	return true
}

// sameContainers refuses to add, remove, rename or reorder containers.
func sameContainers(p *field.Path, now, before *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for _, l := range []struct {
		name        string
		now, before []corev1.Container
	}{{"containers", now.Containers, before.Containers}, {"initContainers", now.InitContainers, before.InitContainers}} {
		if len(l.now) != len(l.before) {
			errs = append(errs, field.Forbidden(p.Child(l.name), l.name+" may not be added or removed on resize"))
			continue
		}
		for i := range l.now {
			if l.now[i].Name != l.before[i].Name {
				errs = append(errs, field.Forbidden(p.Child(l.name).Index(i).Child("name"), l.name+" may not be renamed or reordered on resize"))
			}
		}
	}
	return errs
}

// resizedPod judges the resources of the Pod as a whole, and gives munged the old value of what may change.
func resizedPod(p *field.Path, munged, old *corev1.PodSpec) field.ErrorList {
	at := p.Child("resources")
	if !given(munged.Resources) && !given(old.Resources) {
		return nil
	}
	var errs field.ErrorList
	before := old.Resources
	switch {
	case before == nil:
		before = &corev1.ResourceRequirements{}
	case munged.Resources == nil:
		return field.ErrorList{field.Forbidden(at, "pod-level resources cannot be removed")}
	default:
		errs = notRemoved(at, munged.Resources, before, "pod-level resource")
	}
	restore(munged.Resources, before)
	if old.Resources == nil && !given(munged.Resources) && len(munged.Resources.Claims) == 0 {
		munged.Resources = nil
	}
	if !equality.Semantic.DeepEqual(munged.Resources, old.Resources) {
		errs = append(errs, field.Forbidden(p, "only cpu and memory resources are mutable at pod-level"))
	}
	return errs
}

// given says whether resources have a request or a limit.
func given(r *corev1.ResourceRequirements) bool { return r != nil && len(r.Requests)+len(r.Limits) > 0 }

// resizedContainers judges the resources of each container, and gives munged the old value of what may change.
func resizedContainers(p *field.Path, munged, old *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for i := range munged.InitContainers {
		now, before, at := &munged.InitContainers[i], &old.InitContainers[i], p.Child("initContainers").Index(i)
		errs = append(errs, notRemoved(at.Child("resources"), &now.Resources, &before.Resources, "resource")...)
		changed := !equality.Semantic.DeepEqual(now, before)
		restore(&now.Resources, &before.Resources)
		if !equality.Semantic.DeepEqual(now, before) {
			errs = append(errs, field.Forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable"))
		}
		for _, policy := range now.ResizePolicy {
			if changed && !isSidecar(now) && policy.RestartPolicy == corev1.RestartContainer {
				errs = append(errs, field.Forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"))
				break
			}
		}
	}
	for i := range munged.Containers {
		now, before := &munged.Containers[i], &old.Containers[i]
		errs = append(errs, notRemoved(p.Child("containers").Index(i).Child("resources"), &now.Resources, &before.Resources, "resource")...)
		restore(&now.Resources, &before.Resources)
		if !equality.Semantic.DeepEqual(now, before) {
			errs = append(errs, field.Forbidden(p, "only cpu and memory resources are mutable"))
		}
	}
	return errs
}

// notRemoved refuses to take a request or a limit away.
func notRemoved(p *field.Path, now, before *corev1.ResourceRequirements, what string) field.ErrorList {
	var errs field.ErrorList
	if lacks(now.Requests, before.Requests) {
		errs = append(errs, field.Forbidden(p.Child("requests"), what+" requests cannot be removed"))
	}
	if lacks(now.Limits, before.Limits) {
		errs = append(errs, field.Forbidden(p.Child("limits"), what+" limits cannot be removed"))
	}
	return errs
}

func lacks(now, before corev1.ResourceList) bool {
	for n := range before {
		if _, ok := now[n]; !ok {
			return true
		}
	}
	return false
}

// restore gives now the old CPU and memory.
func restore(now, before *corev1.ResourceRequirements) {
	now.Limits = restored(now.Limits, before.Limits)
	now.Requests = restored(now.Requests, before.Requests)
}

func restored(now, before corev1.ResourceList) corev1.ResourceList {
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(now, n)
		if q, ok := before[n]; ok {
			if now == nil {
				now = corev1.ResourceList{}
			}
			now[n] = q
		}
	}
	return now
}
