package defaults

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// milli is the finest scale that a resource quantity keeps.
const milli = -3

// fill sets what is still zero.
func fill[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// roundUp rounds each quantity up to thousandths, as upstream does with every resource list that it reads.
func roundUp(list corev1.ResourceList) {
	for name, q := range list {
		q.RoundUp(milli)
		list[name] = q
	}
}

func roundResources(r *corev1.ResourceRequirements) {
	if r != nil {
		roundUp(r.Limits)
		roundUp(r.Requests)
	}
}

// put stores a copy of the quantity, making the list where there is none.
func put(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = q.DeepCopy()
}

// complete copies into the list the quantities that it lacks.
func complete(list *corev1.ResourceList, from corev1.ResourceList) {
	for name, q := range from {
		if _, ok := (*list)[name]; !ok {
			put(list, name, q)
		}
	}
}
