package disruption

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// demand is how many Pods there should be, and how many of them must stay healthy.
func (c *Controller) demand(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod) (expected, desired int32, err error) {
	switch {
	case b.Spec.MaxUnavailable != nil:
		if expected, err = c.scaleOf(b, pods); err != nil {
			return 0, 0, err
		}
		most, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, int(expected), true)
		if err != nil {
			return 0, 0, fmt.Errorf("maxUnavailable: %w", err)
		}
		return expected, max(expected-int32(most), 0), nil
	case b.Spec.MinAvailable == nil:
		return int32(len(pods)), 0, nil
	case b.Spec.MinAvailable.Type == intstr.Int:
		return int32(len(pods)), b.Spec.MinAvailable.IntVal, nil
	}
	if expected, err = c.scaleOf(b, pods); err != nil {
		return 0, 0, err
	}
	least, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, int(expected), true)
	if err != nil {
		return 0, 0, fmt.Errorf("minAvailable: %w", err)
	}
	return expected, int32(least), nil
}

// scaleOf adds up what the Pods' controllers ask for. Pods without one have no scale: they are passed over, and told of.
func (c *Controller) scaleOf(b *policyv1.PodDisruptionBudget, pods []*corev1.Pod) (int32, error) {
	scales := map[types.UID]int32{}
	unmanaged := 0
	for _, pod := range pods {
		ref := metav1.GetControllerOf(pod)
		if ref == nil {
			unmanaged++
			continue
		}
		if _, known := scales[ref.UID]; known {
			continue
		}
		uid, scale, err := c.controllerScale(pod.Namespace, ref)
		if err != nil {
			return 0, err
		}
		scales[uid] = scale
	}
	if unmanaged > 0 {
		c.recorder.Eventf(b, corev1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", metav1.FormatLabelSelector(b.Spec.Selector))
	}
	var total int32
	for _, scale := range scales {
		total += scale
	}
	return total, nil
}

// controllerScale follows a Pod's controller up to the Deployment, if there is one.
func (c *Controller) controllerScale(namespace string, ref *metav1.OwnerReference) (types.UID, int32, error) {
	if ref.Kind != "ReplicaSet" {
		return "", 0, fmt.Errorf("found no controller ref kind %q that has a scale", ref.Kind)
	}
	set, err := c.sets.ReplicaSets(namespace).Get(ref.Name)
	if apierrors.IsNotFound(err) || err == nil && set.UID != ref.UID {
		return ref.UID, 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("get replica set: %w", err)
	}
	owner := metav1.GetControllerOf(set)
	if owner == nil || owner.Kind != "Deployment" {
		return set.UID, orOne(set.Spec.Replicas), nil
	}
	d, err := c.deployments.Deployments(namespace).Get(owner.Name)
	if apierrors.IsNotFound(err) || err == nil && d.UID != owner.UID {
		return set.UID, orOne(set.Spec.Replicas), nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("get deployment: %w", err)
	}
	return d.UID, orOne(d.Spec.Replicas), nil
}

func orOne(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
