package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	podresource "k8s.io/component-helpers/resource"
)

const (
	countPrefix    = "count/"
	requestsPrefix = "requests."
	limitsPrefix   = "limits."
)

// usage is how much is used of each thing that the quota limits. counted says that objects were counted whose changes
// nobody watches.
func (c *Controller) usage(ctx context.Context, q *corev1.ResourceQuota) (used corev1.ResourceList, counted bool, err error) {
	pods, err := c.pods.Pods(q.Namespace).List(labels.Everything())
	if err != nil {
		return nil, false, fmt.Errorf("list pods: %w", err)
	}
	ofPods := podUsage(slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool { return !inScope(q, pod) }))
	used = corev1.ResourceList{}
	for name := range q.Spec.Hard {
		if gr, ok := countedResource(name); ok {
			n, err := c.count(ctx, q.Namespace, gr)
			if err != nil {
				return nil, false, err
			}
			used[name] = *resource.NewQuantity(n, resource.DecimalSI)
			counted = true
			continue
		}
		quantity, ok := ofPods[name]
		if !ok {
			quantity = *resource.NewQuantity(0, resource.DecimalSI)
		}
		used[name] = quantity
	}
	return used, counted, nil
}

// podUsage adds up what Pods ask for, under every name that a quota may have for it.
func podUsage(pods []*corev1.Pod) corev1.ResourceList {
	used := corev1.ResourceList{}
	add := func(name corev1.ResourceName, q resource.Quantity) {
		sum := used[name]
		sum.Add(q)
		used[name] = sum
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	for _, pod := range pods {
		add("count/pods", one)
		if isOver(pod) {
			continue
		}
		add(corev1.ResourcePods, one)
		options := podresource.PodResourcesOptions{UseStatusResources: true}
		for name, quantity := range podresource.PodRequests(pod, options) {
			add(requestsPrefix+name, quantity)
			if isNative(name) {
				add(name, quantity)
			}
		}
		for name, quantity := range podresource.PodLimits(pod, options) {
			add(limitsPrefix+name, quantity)
		}
	}
	return used
}

// isNative tells the resources whose request may be limited without the prefix.
func isNative(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage ||
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// countedResource is the kind of object that a limit counts; Pods are counted from the cache instead.
func countedResource(name corev1.ResourceName) (schema.GroupVersionResource, bool) {
	core := corev1.SchemeGroupVersion
	switch name {
	case corev1.ResourceConfigMaps, corev1.ResourceSecrets, corev1.ResourceQuotas:
		return core.WithResource(string(name)), true
	case "count/pods":
		return schema.GroupVersionResource{}, false
	}
	if rest, ok := strings.CutPrefix(string(name), countPrefix); ok {
		gr := schema.ParseGroupResource(rest)
		return schema.GroupVersionResource{Group: gr.Group, Version: "v1", Resource: gr.Resource}, true
	}
	return schema.GroupVersionResource{}, false
}

// count asks the server for one object and how many more there are. What is not served is used by nobody.
func (c *Controller) count(ctx context.Context, namespace string, gvr schema.GroupVersionResource) (int64, error) {
	list, err := c.metadata.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", gvr.GroupResource(), err)
	}
	n := int64(len(list.Items))
	if list.RemainingItemCount != nil {
		n += *list.RemainingItemCount
	}
	return n, nil
}
