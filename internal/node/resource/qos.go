// Package resource turns what a Pod asks of cpu, memory and pids into what the CRI's LinuxContainerResources and
// the cgroup tree say, by the kubelet's rules. All of it is pure.
package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// QOS returns the Pod's quality-of-service class: the API server's word if it has spoken, else the same rule.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	guaranteed, any := true, false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			r := &list[i].Resources
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := r.Requests[name], r.Limits[name]
				any = any || !request.IsZero() || !limit.IsZero()
				guaranteed = guaranteed && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
			}
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// CgroupParent is the cgroup of the Pod below root, as the kubelet lays it out: a path, or the name of a slice, in which
// each dash leads one level down (systemd.slice(5)).
func CgroupParent(root string, slice bool, pod *corev1.Pod) string {
	uid := string(pod.UID)
	if slice {
		uid = strings.ReplaceAll(uid, "-", "_")
	}
	return cgroup(root, slice, append(classPath(QOS(pod)), "pod"+uid)...)
}

// classPath leads to the cgroup of a class of service.
func classPath(class corev1.PodQOSClass) []string {
	switch class {
	case corev1.PodQOSBurstable:
		return []string{"kubepods", "burstable"}
	case corev1.PodQOSBestEffort:
		return []string{"kubepods", "besteffort"}
	}
	return []string{"kubepods"}
}

func cgroup(root string, slice bool, path ...string) string {
	path = append([]string{root}, path...)
	if slice {
		return strings.TrimPrefix(strings.Join(path, "-"), "/") + ".slice"
	}
	return strings.Join(path, "/")
}

// OOMScoreAdj says how early the kernel kills a process of the container when memory runs out.
func OOMScoreAdj(pod *corev1.Pod, c *corev1.Container, capacity int64) int64 {
	if p := pod.Spec.Priority; p != nil && *p >= systemCriticalPriority {
		return -997
	}
	switch QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return -997
	case corev1.PodQOSBestEffort:
		return 1000
	}
	request := c.Resources.Requests.Memory().Value()
	adjust := int64(1000)
	if capacity > 0 {
		adjust = 1000 - 1000*request/capacity
	}
	return min(max(adjust, 3), 999)
}

// systemCriticalPriority is where system-cluster-critical begins.
const systemCriticalPriority = 2 * 1_000_000_000
