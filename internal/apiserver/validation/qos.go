package validation

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	podresource "k8s.io/component-helpers/resource"
)

// PodQOS is a Pod's class of service: Guaranteed when every container limits CPU and memory and requests as much,
// BestEffort when none says anything, Burstable otherwise. Pod-level resources, if given, speak for all containers.
func PodQOS(pod *corev1.Pod) corev1.PodQOSClass {
	if podresource.IsPodLevelResourcesSet(pod) {
		return qos(pod.Spec.Resources)
	}
	var class corev1.PodQOSClass
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			class = common(class, qos(&list[i].Resources))
		}
	}
	return cmp.Or(class, corev1.PodQOSBestEffort)
}

func qos(r *corev1.ResourceRequirements) corev1.PodQOSClass {
	var class corev1.PodQOSClass
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit, one := r.Requests[n], r.Limits[n], corev1.PodQOSGuaranteed
		switch {
		case !request.Equal(limit):
			one = corev1.PodQOSBurstable
		case request.IsZero():
			one = corev1.PodQOSBestEffort
		}
		class = common(class, one)
	}
	return class
}

// common is the class of two together, the first of which may be none.
func common(a, b corev1.PodQOSClass) corev1.PodQOSClass {
	if a == "" || a == b {
		return b
	}
	return corev1.PodQOSBurstable
}
