package env

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resource returns what a resourceFieldRef selects of the Pod: an integer, the amount divided by the divisor and
// rounded up. Limits of cpu, memory and ephemeral storage that are not set are what the node can allocate.
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
	quantity, set := list[resourceName]
	if !set && kind == "limits" {
		quantity = allocatable[resourceName]
	}
	return divide(quantity, ref.Divisor, resourceName == corev1.ResourceCPU), nil
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
