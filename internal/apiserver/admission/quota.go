package admission

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	podresource "k8s.io/component-helpers/resource"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

const quotaWorkers = 2

// errNotCounted: how much is used is the quota controller's business.
var errNotCounted = errors.New("usage is counted by the quota controller")

// resourceQuota refuses what would go beyond a quota, and counts what it lets pass in the quota's status at once.
func resourceQuota(c Config) (admission.Interface, error) {
	p, err := resourcequota.NewResourceQuota(nil, quotaWorkers)
	if err != nil {
		return nil, fmt.Errorf("resource quota: %w", err)
	}
	p.SetDrainedNotification(c.Stop)
	p.SetExternalKubeClientSet(c.Client)
	p.SetExternalKubeInformerFactory(c.Informers)
	ignored := map[schema.GroupResource]struct{}{
		{Resource: "bindings"}: {}, {Resource: "events"}: {}, {Group: "events.k8s.io", Resource: "events"}: {},
		{Resource: "componentstatuses"}: {}, {Group: "authentication.k8s.io", Resource: "tokenreviews"}: {},
		{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}: {}, {Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}: {},
		{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}: {}, {Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: {},
		{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}: {},
	}
	evaluators := []quota.Evaluator{podEvaluator{}}
	for name, alias := range map[string]corev1.ResourceName{
		"configmaps": corev1.ResourceConfigMaps, "secrets": corev1.ResourceSecrets, "resourcequotas": corev1.ResourceQuotas,
	} {
		evaluators = append(evaluators, generic.NewObjectCountEvaluator(corev1.Resource(name), uncounted, alias))
	}
	p.SetQuotaConfiguration(generic.NewConfiguration(evaluators, ignored))
	if err := p.ValidateInitialization(); err != nil {
		return nil, fmt.Errorf("resource quota: %w", err)
	}
	return p, nil
}

func uncounted(string) ([]runtime.Object, error) { return nil, errNotCounted }

// podEvaluator tells what a Pod uses of a quota.
type podEvaluator struct{}

var _ quota.Evaluator = podEvaluator{}

// GroupResource implements quota.Evaluator.
func (podEvaluator) GroupResource() schema.GroupResource { return pod.Resource() }

// Handles implements quota.Evaluator. An update counts where it takes a Pod from one quota's scope to another's.
func (podEvaluator) Handles(a admission.Attributes) bool {
	switch a.GetSubresource() {
	case "":
		return a.GetOperation() == admission.Create || a.GetOperation() == admission.Update && changesTerminating(a)
	case "resize":
		return a.GetOperation() == admission.Update
	}
	return false
}

// changesTerminating tells whether an update of a Pod gives it a deadline, the scope Terminating, or takes it away.
func changesTerminating(a admission.Attributes) bool {
	now, ok := a.GetObject().(*corev1.Pod)
	before, okBefore := a.GetOldObject().(*corev1.Pod)
	return ok && okBefore && terminating(now) != terminating(before)
}

func terminating(p *corev1.Pod) bool {
	return p.Spec.ActiveDeadlineSeconds != nil && *p.Spec.ActiveDeadlineSeconds >= 0
}

// Constraints implements quota.Evaluator: where a quota limits CPU or memory, every container must say what it needs,
// unless the Pod as a whole does.
func (podEvaluator) Constraints(required []corev1.ResourceName, item runtime.Object) error {
	p, ok := item.(*corev1.Pod)
	if !ok {
		return fmt.Errorf("quota of %T", item)
	}
	if p.Spec.Resources != nil && len(p.Spec.Resources.Requests) > 0 {
		return nil
	}
	missing := map[corev1.ResourceName][]string{}
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range list {
			said := computeUsage(c.Resources.Requests, c.Resources.Limits)
			for _, name := range required {
				if _, ok := said[name]; !ok && isCompute(name) {
					missing[name] = append(missing[name], c.Name)
				}
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		slices.Sort(missing[name])
		parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(slices.Compact(missing[name]), ",")))
	}
	return fmt.Errorf("must specify %s", strings.Join(parts, "; "))
}

func isCompute(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory:
		return true
	}
	return false
}

// Matches implements quota.Evaluator.
func (e podEvaluator) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, e.MatchingResources, matchesScope)
}

// MatchingScopes implements quota.Evaluator.
func (podEvaluator) MatchingScopes(item runtime.Object, scopes []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	var matched []corev1.ScopedResourceSelectorRequirement
	for _, s := range scopes {
		ok, err := matchesScope(s, item)
		if err != nil {
			return nil, err
		}
		if ok {
			matched = append(matched, s)
		}
	}
	return matched, nil
}

// UncoveredQuotaScopes implements quota.Evaluator.
func (podEvaluator) UncoveredQuotaScopes(limited, matched []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	return slices.DeleteFunc(slices.Clone(limited), func(l corev1.ScopedResourceSelectorRequirement) bool {
		return slices.ContainsFunc(matched, func(m corev1.ScopedResourceSelectorRequirement) bool { return m.ScopeName == l.ScopeName })
	}), nil
}

// MatchingResources implements quota.Evaluator.
func (podEvaluator) MatchingResources(input []corev1.ResourceName) []corev1.ResourceName {
	return slices.DeleteFunc(slices.Clone(input), func(name corev1.ResourceName) bool {
		switch name {
		case corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, "count/pods":
			return false
		}
		s := string(name)
		return !strings.HasPrefix(s, corev1.DefaultResourceRequestsPrefix) && !strings.HasPrefix(s, "limits.") && !strings.HasPrefix(s, corev1.ResourceHugePagesPrefix)
	})
}

// Usage implements quota.Evaluator.
func (podEvaluator) Usage(item runtime.Object) (corev1.ResourceList, error) {
	p, ok := item.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("quota of %T", item)
	}
	one := *resource.NewQuantity(1, resource.DecimalSI)
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		return corev1.ResourceList{"count/pods": one}, nil
	}
	options := podresource.PodResourcesOptions{UseStatusResources: true}
	used := computeUsage(podresource.PodRequests(p, options), podresource.PodLimits(p, options))
	used["count/pods"], used[corev1.ResourcePods] = one, one
	return used, nil
}

// computeUsage names requests and limits as quotas do.
func computeUsage(requests, limits corev1.ResourceList) corev1.ResourceList {
	used := corev1.ResourceList{}
	for name, q := range requests {
		used[corev1.DefaultResourceRequestsPrefix+name] = q
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			used[name] = q
		}
	}
	for name, q := range limits {
		used["limits."+name] = q
	}
	return used
}

// UsageStats implements quota.Evaluator.
func (podEvaluator) UsageStats(quota.UsageStatsOptions) (quota.UsageStats, error) {
	return quota.UsageStats{}, errNotCounted
}

func matchesScope(r corev1.ScopedResourceSelectorRequirement, item runtime.Object) (bool, error) {
	p, ok := item.(*corev1.Pod)
	if !ok {
		return false, fmt.Errorf("quota of %T", item)
	}
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return terminating(p), nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return !terminating(p), nil
	case corev1.ResourceQuotaScopeBestEffort:
		return validation.PodQOS(p) == corev1.PodQOSBestEffort, nil
	case corev1.ResourceQuotaScopeNotBestEffort:
		return validation.PodQOS(p) != corev1.PodQOSBestEffort, nil
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return crossesNamespaces(p), nil
	case corev1.ResourceQuotaScopePriorityClass:
		return matchesPriorityClass(r, p)
	}
	return false, nil
}

func matchesPriorityClass(r corev1.ScopedResourceSelectorRequirement, p *corev1.Pod) (bool, error) {
	if r.Operator == corev1.ScopeSelectorOpExists {
		return p.Spec.PriorityClassName != "", nil
	}
	operators := map[corev1.ScopeSelectorOperator]selection.Operator{
		corev1.ScopeSelectorOpIn: selection.In, corev1.ScopeSelectorOpNotIn: selection.NotIn, corev1.ScopeSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	requirement, err := labels.NewRequirement(string(r.ScopeName), operators[r.Operator], r.Values)
	if err != nil {
		return false, fmt.Errorf("scope selector: %w", err)
	}
	set := labels.Set{}
	if p.Spec.PriorityClassName != "" {
		set[string(r.ScopeName)] = p.Spec.PriorityClassName
	}
	return requirement.Matches(set), nil
}

// crossesNamespaces tells whether affinity terms of the Pod look at Pods of other namespaces.
func crossesNamespaces(p *corev1.Pod) bool {
	if p.Spec.Affinity == nil {
		return false
	}
	crosses := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) bool {
		for _, w := range preferred {
			required = append(required[:len(required):len(required)], w.PodAffinityTerm)
		}
		return slices.ContainsFunc(required, func(t corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil })
	}
	if a := p.Spec.Affinity.PodAffinity; a != nil && crosses(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution) {
		return true
	}
	a := p.Spec.Affinity.PodAntiAffinity
	return a != nil && crosses(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
}
