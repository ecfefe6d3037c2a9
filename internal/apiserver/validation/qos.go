package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"
)

// PodQOS is a Pod's class of service: Guaranteed when every container limits CPU and memory and requests as much,
// BestEffort when none says anything, Burstable otherwise. Pod-level resources, if given, speak for all containers.
func PodQOS(pod *corev1.Pod) corev1.PodQOSClass {
	if podresource.IsPodLevelResourcesSet(pod) {
		return qos([]corev1.ResourceRequirements{*pod.Spec.Resources})
	}
	var all []corev1.ResourceRequirements
	for i := range pod.Spec.Containers {
		all = append(all, pod.Spec.Containers[i].Resources)
	}
	for i := range pod.Spec.InitContainers {
		all = append(all, pod.Spec.InitContainers[i].Resources)
	}
	return qos(all)
}

func qos(all []corev1.ResourceRequirements) corev1.PodQOSClass {
	requests, limits := map[corev1.ResourceName]resource.Quantity{}, map[corev1.ResourceName]resource.Quantity{}
	guaranteed := true
	for i := range all {
		sum(requests, all[i].Requests)
		if sum(limits, all[i].Limits) < 2 {
			guaranteed = false
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if !guaranteed || len(requests) != len(limits) {
		return corev1.PodQOSBurstable
	}
	for n, request := range requests {
		if limit, ok := limits[n]; !ok || limit.Cmp(request) != 0 {
			return corev1.PodQOSBurstable
		}
	}
	return corev1.PodQOSGuaranteed
}

// sum adds CPU and memory to the total and says how many of the two were there.
func sum(total map[corev1.ResourceName]resource.Quantity, list corev1.ResourceList) int {
	found := 0
	for _, n := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		q, ok := list[n]
		if !ok || q.Sign() <= 0 {
			continue
		}
		found++
		t := total[n]
		t.Add(q)
		total[n] = t
	}
	return found
}
