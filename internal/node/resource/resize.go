package resource

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pending tells which resources of a running container are not yet as its definition wants them. have is what the
// runtime tells of it; a runtime that tells nothing is never told anything either. Limits are never taken away.
func Pending(c *corev1.Container, have *runtimev1.LinuxContainerResources) (cpu, memory bool) {
	if have == nil {
		return false, false
	}
	want := of(c.Resources)
	cpu = want.CpuShares != have.CpuShares || want.CpuQuota != 0 && want.CpuQuota != have.CpuQuota
	memory = want.MemoryLimitInBytes != 0 && want.MemoryLimitInBytes != have.MemoryLimitInBytes
	return cpu, memory
}

// AnnotationMemoryRequest is on containers whose resize policy has them restarted when their memory changes: what they
// requested when they were made. The request is no limit, so the runtime does not know it.
const AnnotationMemoryRequest = "io.mayfly.container.memoryRequest"

// RequestPending tells whether a running container was made for another memory request than its definition has now.
func RequestPending(c *corev1.Container, annotations map[string]string) bool {
	have, known := annotations[AnnotationMemoryRequest]
	return known && have != MemoryRequest(c)
}

// MemoryRequest is the value of the annotation, in bytes.
func MemoryRequest(c *corev1.Container) string {
	return strconv.FormatInt(c.Resources.Requests.Memory().Value(), 10)
}

// RestartsFor tells whether the container is restarted when that resource of it changes.
func RestartsFor(c *corev1.Container, name corev1.ResourceName) bool {
	return slices.Contains(c.ResizePolicy, corev1.ContainerResizePolicy{ResourceName: name, RestartPolicy: corev1.RestartContainer})
}

// Actual is what a running container has of what its definition wants, in the API's terms.
func Actual(c *corev1.Container, have *runtimev1.LinuxContainerResources, annotations map[string]string) *corev1.ResourceRequirements {
	out := c.Resources.DeepCopy()
	if RequestPending(c, annotations) {
		if request, err := resource.ParseQuantity(annotations[AnnotationMemoryRequest]); err == nil {
			set(&out.Requests, corev1.ResourceMemory, &request)
		}
	}
	cpu, memory := Pending(c, have)
	if memory {
		set(&out.Limits, corev1.ResourceMemory, resource.NewQuantity(have.MemoryLimitInBytes, resource.BinarySI))
	}
	if !cpu {
		return out
	}
	if period := have.CpuPeriod; period > 0 {
		set(&out.Limits, corev1.ResourceCPU, resource.NewMilliQuantity(have.CpuQuota*1000/period, resource.DecimalSI))
	}
	// Rounded up, as shares were rounded down.
	set(&out.Requests, corev1.ResourceCPU, resource.NewMilliQuantity((have.CpuShares*1000+sharesPerCPU-1)/sharesPerCPU, resource.DecimalSI))
	return out
}

// set changes an amount that the list has, and takes it away if there is none.
func set(list *corev1.ResourceList, name corev1.ResourceName, amount *resource.Quantity) {
	if _, ok := (*list)[name]; !ok {
		return
	}
	if amount.Sign() <= 0 {
		delete(*list, name)
		return
	}
	(*list)[name] = *amount
}

// Shortage says, in the kubelet's words, what a Pod that others leave too little for would have to wait for; never tells
// that the node is too small even without them. It is empty if the Pod fits.
func Shortage(pod *corev1.Pod, others, allocatable corev1.ResourceList) (message string, never bool) {
	requests := Requests(pod)
	for _, r := range []struct {
		name              string
		asked, taken, all int64
	}{
		{"cpu", requests.Cpu().MilliValue(), others.Cpu().MilliValue(), allocatable.Cpu().MilliValue()},
		{"memory", requests.Memory().Value(), others.Memory().Value(), allocatable.Memory().Value()},
	} {
		switch {
		case r.asked > r.all:
			return fmt.Sprintf("Node didn't have enough capacity: %s, requested: %d, capacity: %d", r.name, r.asked, r.all), true
		case r.asked+r.taken > r.all && message == "":
			message = fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", r.name, r.asked, r.taken, r.all)
		}
	}
	return message, false
}

// Lack names the resource that a Pod would have to share with others although there is not enough of it, and says so in
// the kubelet's words; the name is empty if the Pod fits. What the node has none of is not its to give out.
func Lack(pod *corev1.Pod, others, allocatable corev1.ResourceList) (name corev1.ResourceName, message string) {
	asked := Claims(pod)
	first := []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(asked)), func(n corev1.ResourceName) bool { return slices.Contains(first, n) })
	for _, name := range append(first, rest...) {
		if _, has := allocatable[name]; !has {
			continue
		}
		want, used, all := amount(asked, name), amount(others, name), amount(allocatable, name)
		if want > 0 && want > all-used {
			return name, fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, want, used, all)
		}
	}
	return "", ""
}

// amount is in thousandths of a CPU, or whole units of anything else.
func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// Claims is what the Pod takes of its node: what it requests, and a place.
func Claims(pod *corev1.Pod) corev1.ResourceList {
	claims := Requests(pod).DeepCopy()
	if claims == nil {
		claims = corev1.ResourceList{}
	}
	claims[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	return claims
}

// Requests is what the Pod and its containers request.
func Requests(pod *corev1.Pod) corev1.ResourceList {
	return helper.PodRequests(pod, helper.PodResourcesOptions{})
}
