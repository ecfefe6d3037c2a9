package env

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resource returns what a resourceFieldRef selects of the Pod: an integer, the amount divided by the divisor and
// rounded up. Limits of cpu, memory and ephemeral storage that are not set are the Pod's own, or else what the node can
// allocate.
func Resource(pod *corev1.Pod, container string, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	if ref.ContainerName != "" {
		container = ref.ContainerName
	}
	requirements, err := find(pod, container)
	if err != nil {
		return "", err
	}
	kind, name, ok := strings.Cut(ref.Resource, ".")
	if !ok || kind != "limits" && kind != "requests" {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	list := requirements.Requests
	if kind == "limits" {
		list = requirements.Limits
	}
	resourceName := corev1.ResourceName(name)
	quantity := list[resourceName]
	if quantity.IsZero() && kind == "limits" {
		quantity = bound(pod, resourceName, allocatable)
	}
	return divide(quantity, ref.Divisor, resourceName == corev1.ResourceCPU), nil
}

// bound is how much a container without a limit may take: as much as the Pod has for all of them together, else the node.
func bound(pod *corev1.Pod, name corev1.ResourceName, allocatable corev1.ResourceList) resource.Quantity {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
	default:
		return resource.Quantity{} // huge pages are never more than asked for
	}
	if own := pod.Spec.Resources; own != nil {
		if limit := own.Limits[name]; !limit.IsZero() {
			return limit
		}
	}
	return allocatable[name]
}

func find(pod *corev1.Pod, name string) (corev1.ResourceRequirements, error) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == name {
				return c.Resources, nil
			}
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == name {
			return c.Resources, nil
		}
	}
	return corev1.ResourceRequirements{}, fmt.Errorf("container %s not found", name)
}

func divide(q, divisor resource.Quantity, milli bool) string {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, by := q.Value(), divisor.Value()
	if milli {
		value, by = q.MilliValue(), divisor.MilliValue()
	}
	return strconv.FormatInt((value+by-1)/by, 10)
}
