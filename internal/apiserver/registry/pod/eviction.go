package pod

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

// maxDisruptedPods bounds what one budget remembers of Pods that are on their way out.
const maxDisruptedPods = 2000

// Budgets reads and charges PodDisruptionBudgets.
type Budgets interface {
	List(ctx context.Context, namespace string) ([]policyv1.PodDisruptionBudget, error)
	UpdateStatus(ctx context.Context, budget *policyv1.PodDisruptionBudget) error
}

// Eviction deletes a Pod if its disruption budget allows.
type Eviction struct {
	pods    *registry.Storage
	budgets Budgets
}

// New implements rest.Storage.
func (*Eviction) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy implements rest.Storage.
func (*Eviction) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider: the kind is of another group than its path.
func (*Eviction) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// AcceptsGroupVersion implements rest.GroupVersionAcceptor.
func (*Eviction) AcceptsGroupVersion(gv schema.GroupVersion) bool {
	return gv == policyv1.SchemeGroupVersion
}

// Create implements rest.NamedCreater.
func (e *Eviction) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	deletion := eviction.DeleteOptions
	if deletion == nil {
		deletion = &metav1.DeleteOptions{}
	}
	deletion.DryRun = options.DryRun
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	pod, err := get(ctx, e.pods, name)
	if err != nil {
		return nil, err
	}
	if !ignoresBudget(pod) {
		if err := e.charge(ctx, pod, dryrun.IsDryRun(options.DryRun)); err != nil {
			return nil, err
		}
		// What was decided about is this Pod and no namesake.
		if deletion.Preconditions == nil {
			deletion.Preconditions = &metav1.Preconditions{}
		}
		if deletion.Preconditions.UID == nil {
			deletion.Preconditions.UID = &pod.UID
		}
	}
	if _, _, err := e.pods.Delete(ctx, name, rest.ValidateAllObjectFunc, deletion); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// ignoresBudget tells whether evicting pod disrupts nothing: it is over, not begun, or leaving already.
func ignoresBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
}

// charge takes the disruption from the one budget that covers pod.
func (e *Eviction) charge(ctx context.Context, pod *corev1.Pod, dryRun bool) error {
	namespace := genericapirequest.NamespaceValue(ctx)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		all, err := e.budgets.List(ctx, namespace)
		if err != nil {
			return err
		}
		covering := covering(all, pod)
		switch {
		case len(covering) == 0:
			return nil
		case len(covering) > 1:
			return apierrors.NewInternalError(errors.New("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."))
		}
		budget := covering[0]
		if unhealthyAllowed(pod, budget) {
			return nil
		}
		if err := spend(pod.Name, budget); err != nil || dryRun {
			return err
		}
		return e.budgets.UpdateStatus(ctx, budget)
	})
	if apierrors.IsConflict(err) {
		return apierrors.NewTooManyRequests("Cannot evict pod: its disruption budget is being updated.", 10)
	}
	return err
}

func covering(all []policyv1.PodDisruptionBudget, pod *corev1.Pod) []*policyv1.PodDisruptionBudget {
	var found []*policyv1.PodDisruptionBudget
	for i := range all {
		selector, err := metav1.LabelSelectorAsSelector(all[i].Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, &all[i])
		}
	}
	return found
}

// unhealthyAllowed is the unhealthyPodEvictionPolicy: a Pod that is not ready does not count as healthy anyway.
func unhealthyAllowed(pod *corev1.Pod, budget *policyv1.PodDisruptionBudget) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return false
		}
	}
	policy := budget.Spec.UnhealthyPodEvictionPolicy
	if policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return budget.Status.CurrentHealthy >= budget.Status.DesiredHealthy && budget.Status.DesiredHealthy > 0
}

func spend(pod string, budget *policyv1.PodDisruptionBudget) error {
	refuse := func(message string, retry int) error {
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retry)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: message})
		return err
	}
	status := &budget.Status
	switch {
	case status.ObservedGeneration < budget.Generation:
		return refuse(fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget.Name), 10)
	case status.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), budget.Name, errors.New("pdb disruptions allowed is negative"))
	case len(status.DisruptedPods) > maxDisruptedPods:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), budget.Name, errors.New("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case status.DisruptionsAllowed == 0:
		return refuse(fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", budget.Name, status.DesiredHealthy, status.CurrentHealthy), 0)
	}
	status.DisruptionsAllowed--
	if status.DisruptedPods == nil {
		status.DisruptedPods = map[string]metav1.Time{}
	}
	status.DisruptedPods[pod] = metav1.Time{Time: time.Now()}
	return nil
}
