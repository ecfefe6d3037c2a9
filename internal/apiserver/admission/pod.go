package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
)

// podPlugin completes and judges Pods: admit changes one before it is validated, validate may only refuse. old is nil
// for a new Pod.
type podPlugin struct {
	*admission.Handler
	// subresources whose updates carry a Pod that the plugin wants to see as well.
	subresources sets.Set[string]
	admit        func(ctx context.Context, pod, old *corev1.Pod) error
	validate     func(ctx context.Context, pod, old *corev1.Pod) error
}

// Admit implements admission.MutationInterface.
func (p *podPlugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.call(ctx, a, p.admit)
}

// Validate implements admission.ValidationInterface.
func (p *podPlugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.call(ctx, a, p.validate)
}

func (p *podPlugin) call(ctx context.Context, a admission.Attributes, f func(context.Context, *corev1.Pod, *corev1.Pod) error) error {
	if f == nil || a.GetResource().GroupResource() != pod.Resource() {
		return nil
	}
	if sub := a.GetSubresource(); sub != "" && !p.subresources.Has(sub) {
		return nil
	}
	obj, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return apierrors.NewBadRequest("Resource was marked with kind Pod but was unable to be converted")
	}
	old, _ := a.GetOldObject().(*corev1.Pod)
	if err := f(ctx, obj, old); err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// mirrored tells whether the Pod mirrors one that a node runs by itself: nothing may be added to it.
func mirrored(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

const unreachableSeconds = 300

// defaultTolerationSeconds keeps Pods for a while on a node that does not answer.
func defaultTolerationSeconds() admission.Interface {
	return &podPlugin{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		admit: func(_ context.Context, p, _ *corev1.Pod) error {
			for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
				if !tolerates(p, key) {
					seconds := int64(unreachableSeconds)
					p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
						Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
					})
				}
			}
			return nil
		},
	}
}

func tolerates(p *corev1.Pod, key string) bool {
	for _, t := range p.Spec.Tolerations {
		if (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return true
		}
	}
	return false
}

// priority gives a Pod the number and the preemption policy that its class says.
func priority(classes Classes) admission.Interface {
	return &podPlugin{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		admit: func(ctx context.Context, p, old *corev1.Pod) error {
			if old != nil {
				// An update that leaves them out means the ones that are there.
				if p.Spec.Priority == nil {
					p.Spec.Priority = old.Spec.Priority
				}
				if p.Spec.PreemptionPolicy == nil {
					p.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
				}
				return nil
			}
			return setPriority(ctx, classes, p)
		},
	}
}

func setPriority(ctx context.Context, classes Classes, p *corev1.Pod) error {
	var value int32
	policy := corev1.PreemptLowerPriority
	class, err := classes.Priority(ctx, p.Spec.PriorityClassName)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("no PriorityClass with name %v was found", p.Spec.PriorityClassName)
	case err != nil:
		return fmt.Errorf("could not get PriorityClass %s: %w", p.Spec.PriorityClassName, err)
	case class != nil:
		p.Spec.PriorityClassName, value = class.Name, class.Value
		if class.PreemptionPolicy != nil {
			policy = *class.PreemptionPolicy
		}
	}
	if p.Spec.Priority != nil && *p.Spec.Priority != value {
		return fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *p.Spec.Priority, value)
	}
	if p.Spec.PreemptionPolicy != nil && *p.Spec.PreemptionPolicy != policy {
		return fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *p.Spec.PreemptionPolicy, policy)
	}
	p.Spec.Priority, p.Spec.PreemptionPolicy = &value, &policy
	return nil
}
