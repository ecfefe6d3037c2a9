package admission

import (
	"context"
	"fmt"

	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1"
)

// cachedClasses looks in the cache first, and asks the server for what it does not know yet.
type cachedClasses struct {
	priorities schedulinglisters.PriorityClassLister
	client     kubernetes.Interface
}

func (c cachedClasses) Priority(ctx context.Context, name string) (*schedulingv1.PriorityClass, error) {
	if name == "" {
		return c.globalDefault()
	}
	class, err := c.priorities.Get(name)
	if apierrors.IsNotFound(err) {
		return c.client.SchedulingV1().PriorityClasses().Get(ctx, name, metav1.GetOptions{})
	}
	return class, err
}

// globalDefault is the class for Pods that name none; of several, the lowest counts.
func (c cachedClasses) globalDefault() (*schedulingv1.PriorityClass, error) {
	all, err := c.priorities.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var found *schedulingv1.PriorityClass
	for _, class := range all {
		if class.GlobalDefault && (found == nil || class.Value < found.Value) {
			found = class
		}
	}
	return found, nil
}

// soleDefault lets no more than one priority class be the default. It asks the server itself: classes are made rarely, and
// the cache may not know of the last one yet.
type soleDefault struct {
	*admission.Handler
	client kubernetes.Interface
}

var _ admission.ValidationInterface = soleDefault{}

// Validate implements admission.ValidationInterface.
func (s soleDefault) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	class, ok := a.GetObject().(*schedulingv1.PriorityClass)
	if !ok || !class.GlobalDefault || a.GetSubresource() != "" {
		return nil
	}
	all, err := s.client.SchedulingV1().PriorityClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("list priority classes: %w", err))
	}
	for _, other := range all.Items {
		if other.GlobalDefault && (a.GetOperation() == admission.Create || other.Name != class.Name) {
			return admission.NewForbidden(a, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.Name))
		}
	}
	return nil
}

func (c cachedClasses) Runtime(ctx context.Context, name string) (*nodev1.RuntimeClass, error) {
	return c.client.NodeV1().RuntimeClasses().Get(ctx, name, metav1.GetOptions{})
}
