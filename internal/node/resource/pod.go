package resource

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	helper "k8s.io/component-helpers/resource"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Sum is what the Pod's containers ask together, which the CRI is told of a sandbox.
func Sum(pod *corev1.Pod) *runtimev1.LinuxContainerResources {
	without := helper.PodResourcesOptions{ExcludeOverhead: true}
	return of(corev1.ResourceRequirements{Requests: helper.PodRequests(pod, without), Limits: limits(pod, without)})
}

// Overhead is what the Pod's RuntimeClass adds to that.
func Overhead(pod *corev1.Pod) *runtimev1.LinuxContainerResources {
	return of(corev1.ResourceRequirements{Requests: pod.Spec.Overhead, Limits: pod.Spec.Overhead})
}

// PodCgroup is how the Pod's cgroup is limited: the sum of its containers and the overhead, and a number of tasks unless
// it is 0.
func PodCgroup(pod *corev1.Pod, pids int64) *runtimev1.LinuxContainerResources {
	r := &runtimev1.LinuxContainerResources{CpuShares: minShares}
	if QOS(pod) != corev1.PodQOSBestEffort {
		r = of(corev1.ResourceRequirements{Requests: Requests(pod), Limits: limits(pod, helper.PodResourcesOptions{})})
	}
	if pids > 0 {
		r.Unified = map[string]string{"pids.max": strconv.FormatInt(pids, 10)}
	}
	return r
}

// limits are those of the Pod itself, else the sum of its containers' if all of them are limited: the others would be
// limited as well.
func limits(pod *corev1.Pod, options helper.PodResourcesOptions) corev1.ResourceList {
	boundless := map[corev1.ResourceName]bool{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if amount := c.Resources.Limits[name]; amount.IsZero() {
				boundless[name] = true
			}
		}
	}
	sum := helper.PodLimits(pod, options)
	if own := pod.Spec.Resources; own != nil {
		for name, amount := range own.Limits {
			boundless[name] = boundless[name] && amount.IsZero()
		}
	}
	for name, is := range boundless {
		if is {
			delete(sum, name)
		}
	}
	return sum
}

// Larger is the more of each of two, for the time in which a cgroup and those below it change from one to the other.
func Larger(a, b *runtimev1.LinuxContainerResources) *runtimev1.LinuxContainerResources {
	limit := func(a, b int64) int64 {
		if a == 0 || b == 0 {
			return 0 // no limit
		}
		return max(a, b)
	}
	return &runtimev1.LinuxContainerResources{
		CpuPeriod: cpuPeriod, CpuShares: max(a.GetCpuShares(), b.GetCpuShares()), CpuQuota: limit(a.GetCpuQuota(), b.GetCpuQuota()),
		MemoryLimitInBytes: limit(a.GetMemoryLimitInBytes(), b.GetMemoryLimitInBytes()),
	}
}

// Weights are the shares of the CPU that the classes of service have, by cgroup: that of the Burstable what its Pods
// request, as the kubelet has it. A Guaranteed Pod has its own beside them.
func Weights(root string, slice bool, allocatable corev1.ResourceList, pods []*corev1.Pod) map[string]int64 {
	var burstable int64
	for _, pod := range pods {
		if QOS(pod) == corev1.PodQOSBurstable {
			requests := Requests(pod)
			burstable += requests.Cpu().MilliValue()
		}
	}
	return map[string]int64{
		cgroup(root, slice, classPath(corev1.PodQOSGuaranteed)...): Shares(allocatable.Cpu().MilliValue()),
		cgroup(root, slice, classPath(corev1.PodQOSBurstable)...):  Shares(burstable),
		cgroup(root, slice, classPath(corev1.PodQOSBestEffort)...): minShares,
	}
}
