package pod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

const (
	// maxDisruptedPods bounds what one budget remembers of Pods that are on their way out.
	maxDisruptedPods = 2000
	// retrySeconds is when a client may try again.
	retrySeconds = 10
)

// patience is for a drain, which evicts many Pods of one budget at once.
var patience = wait.Backoff{Steps: 20, Duration: 20 * time.Millisecond, Factor: 1.2, Jitter: 0.5}

var errSeveral = errors.New("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")

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

// AcceptsGroupVersion implements rest.GroupVersionAcceptor: old clients send that of v1beta1.
func (*Eviction) AcceptsGroupVersion(gv schema.GroupVersion) bool {
	return gv == policyv1.SchemeGroupVersion || gv == policyv1beta1.SchemeGroupVersion
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
	deletion, err := deletionOf(eviction, options)
	if err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	status, err := e.evict(ctx, name, deletion)
	if err != nil {
		return nil, err
	}
	return status, nil
}

// deletionOf is the deletion that an eviction asks for. Its body can ask for a dry run as well as its URL.
func deletionOf(eviction *policyv1.Eviction, options *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	deletion := eviction.DeleteOptions
	if deletion == nil {
		deletion = &metav1.DeleteOptions{}
	}
	if len(deletion.DryRun) == 0 {
		deletion.DryRun = options.DryRun
	}
	if len(options.DryRun) > 0 && !slices.Equal(deletion.DryRun, options.DryRun) {
		return nil, fmt.Errorf("Non-matching dry-run options in request and content: %v and %v", options.DryRun, deletion.DryRun)
	}
	return deletion, nil
}

func (e *Eviction) evict(ctx context.Context, name string, deletion *metav1.DeleteOptions) (*metav1.Status, error) {
	var pod *corev1.Pod
	evicted := false
	// One that has not begun may become ready meanwhile, and a budget then has a say: it is looked at again.
	changed := func(err error) bool { return apierrors.IsConflict(err) && mayGuard(pod, deletion) }
	err := retry.OnError(patience, changed, func() error {
		var err error
		if pod, err = get(ctx, e.pods, name); err != nil {
			return err
		}
		if evicted = ignoresBudget(pod); !evicted {
			return nil
		}
		return e.remove(ctx, pod, deletion, pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil)
	})
	switch {
	case err != nil:
		return nil, err
	case evicted:
		return &metav1.Status{Status: metav1.StatusSuccess}, nil
	}
	return e.evictCovered(ctx, pod, deletion)
}

// evictCovered evicts a Pod that a budget may cover.
func (e *Eviction) evictCovered(ctx context.Context, pod *corev1.Pod, deletion *metav1.DeleteOptions) (*metav1.Status, error) {
	unready := ""
	err := retry.RetryOnConflict(patience, func() error {
		all, err := e.budgets.List(ctx, genericapirequest.NamespaceValue(ctx))
		if err != nil {
			return err
		}
		covering := covering(all, pod)
		switch {
		case len(covering) == 0:
			return nil
		case len(covering) > 1:
			return errSeveral
		case unhealthyAllowed(pod, covering[0]):
			unready = covering[0].Name
			return nil
		}
		if err := spend(pod.Name, covering[0]); err != nil || dryrun.IsDryRun(deletion.DryRun) {
			return err
		}
		return e.budgets.UpdateStatus(ctx, covering[0])
	})
	switch {
	case errors.Is(err, errSeveral):
		// The answer of the one kind that is no error to the server: clients take its status and its code from the body.
		return &metav1.Status{Status: metav1.StatusFailure, Message: errSeveral.Error(), Code: http.StatusInternalServerError}, nil
	case apierrors.IsConflict(err):
		return nil, apierrors.NewTooManyRequests("Cannot evict pod: its disruption budget is being updated.", retrySeconds)
	case err != nil:
		return nil, err
	}
	// One that is not ready was not charged for: it must not have become so since.
	err = e.remove(ctx, pod, deletion, unready != "")
	if unready != "" && apierrors.IsConflict(err) && mayGuard(pod, deletion) {
		return nil, refusal(fmt.Sprintf("The disruption budget %s is still being processed by the server.", unready), retrySeconds)
	}
	if err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// mayGuard tells whether a conflict can only be of this package's making: the client asked for this Pod, or for no particular
// one, and for no version.
func mayGuard(pod *corev1.Pod, deletion *metav1.DeleteOptions) bool {
	asked := deletion.Preconditions
	return asked == nil || asked.ResourceVersion == nil && (asked.UID == nil || pod != nil && *asked.UID == pod.UID)
}

// remove says in the Pod's status why it goes, and deletes it: this Pod and no namesake, and if guarded only as it was seen.
func (e *Eviction) remove(ctx context.Context, pod *corev1.Pod, deletion *metav1.DeleteOptions, guarded bool) error {
	deletion = deletion.DeepCopy()
	if deletion.Preconditions == nil {
		deletion.Preconditions = &metav1.Preconditions{}
	}
	expected := deletion.Preconditions
	if expected.UID == nil {
		expected.UID = &pod.UID
	}
	if guarded && expected.ResourceVersion == nil {
		expected.ResourceVersion = &pod.ResourceVersion
	}
	if !dryrun.IsDryRun(deletion.DryRun) {
		version, err := e.mark(ctx, pod.Name, expected)
		if err != nil {
			return err
		}
		if version != "" && expected.ResourceVersion != nil {
			expected.ResourceVersion = &version
		}
	}
	_, _, err := e.pods.Delete(ctx, pod.Name, rest.ValidateAllObjectFunc, deletion)
	return err
}

// mark gives the Pod its condition DisruptionTarget and returns its new version; none if it is not the Pod that is expected,
// of which the deletion will tell.
func (e *Eviction) mark(ctx context.Context, name string, expected *metav1.Preconditions) (string, error) {
	key, err := e.pods.KeyFunc(ctx, name)
	if err != nil {
		return "", err
	}
	marked := &corev1.Pod{}
	met := true
	err = e.pods.Storage.GuaranteedUpdate(ctx, key, marked, false, nil, storage.SimpleUpdate(func(o runtime.Object) (runtime.Object, error) {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			return nil, fmt.Errorf("evict pod: unexpected %T", o)
		}
		met = *expected.UID == pod.UID && (expected.ResourceVersion == nil || *expected.ResourceVersion == pod.ResourceVersion)
		if met {
			target(pod)
		}
		return pod, nil
	}), false, nil)
	if err != nil || !met {
		return "", storeerr.InterpretUpdateError(storeerr.InterpretGetError(err, Resource(), name), Resource(), name)
	}
	return marked.ResourceVersion, nil
}

func target(pod *corev1.Pod) {
	setCondition(pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
	})
}

// ignoresBudget tells whether evicting pod disrupts nothing: it is over, not begun, or leaving already.
func ignoresBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
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

func refusal(message string, after int) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", after)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: message})
	return err
}

// spend takes a disruption from budget.
func spend(pod string, budget *policyv1.PodDisruptionBudget) error {
	status := &budget.Status
	switch {
	case status.ObservedGeneration < budget.Generation:
		return refusal(fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget.Name), retrySeconds)
	case status.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), budget.Name, errors.New("pdb disruptions allowed is negative"))
	case len(status.DisruptedPods) > maxDisruptedPods:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), budget.Name, errors.New("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case status.DisruptionsAllowed == 0:
		return refusal(fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", budget.Name, status.DesiredHealthy, status.CurrentHealthy), 0)
	}
	status.DisruptionsAllowed--
	if status.DisruptedPods == nil {
		status.DisruptedPods = map[string]metav1.Time{}
	}
	status.DisruptedPods[pod] = metav1.Time{Time: time.Now()}
	return nil
}
