package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// Classes finds classes that Pods name.
type Classes interface {
	// Priority is the class of that name, or with an empty name the global default, which may be nil.
	Priority(ctx context.Context, name string) (*schedulingv1.PriorityClass, error)
	Runtime(ctx context.Context, name string) (*nodev1.RuntimeClass, error)
}

const overheadMessage = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"

// runtimeClass adds what a runtime class costs and where it runs.
func runtimeClass(classes Classes) admission.Interface {
	return &podPlugin{
		Handler: admission.NewHandler(admission.Create),
		admit: func(ctx context.Context, p, _ *corev1.Pod) error {
			if p.Spec.RuntimeClassName == nil {
				return nil
			}
			class, err := classes.Runtime(ctx, *p.Spec.RuntimeClassName)
			if apierrors.IsNotFound(err) {
				return fmt.Errorf("pod rejected: RuntimeClass %q not found", *p.Spec.RuntimeClassName)
			}
			if err != nil {
				return err
			}
			if err := setOverhead(p, class); err != nil {
				return err
			}
			return setScheduling(p, class)
		},
		validate: func(_ context.Context, p, _ *corev1.Pod) error {
			if p.Spec.RuntimeClassName == nil && p.Spec.Overhead != nil {
				return errors.New(overheadMessage)
			}
			return nil
		},
	}
}

func setOverhead(p *corev1.Pod, class *nodev1.RuntimeClass) error {
	if class.Overhead == nil {
		if p.Spec.Overhead != nil {
			return errors.New(overheadMessage)
		}
		return nil
	}
	if p.Spec.Overhead != nil && !equality.Semantic.DeepEqual(class.Overhead.PodFixed, p.Spec.Overhead) {
		return errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
	}
	p.Spec.Overhead = class.Overhead.PodFixed.DeepCopy()
	return nil
}

func setScheduling(p *corev1.Pod, class *nodev1.RuntimeClass) error {
	if class.Scheduling == nil {
		return nil
	}
	for k, v := range class.Scheduling.NodeSelector {
		if have, ok := p.Spec.NodeSelector[k]; ok && have != v {
			return fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", k, v, k, have)
		}
		if p.Spec.NodeSelector == nil {
			p.Spec.NodeSelector = map[string]string{}
		}
		p.Spec.NodeSelector[k] = v
	}
	for _, t := range class.Scheduling.Tolerations {
		known := false
		for i := range p.Spec.Tolerations {
			known = known || equality.Semantic.DeepEqual(p.Spec.Tolerations[i], t)
		}
		if !known {
			p.Spec.Tolerations = append(p.Spec.Tolerations, t)
		}
	}
	return nil
}
