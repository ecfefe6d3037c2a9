package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podresource "k8s.io/component-helpers/resource"
)

const (
	notNegative  = "must be greater than or equal to 0"
	wholeNumber  = "must be an integer"
	perThousand  = 1000
	nativeDomain = corev1.ResourceDefaultNamespacePrefix // kubernetes.io/
)

// containerResources holds the rules of a container's requests, limits and device claims.
func containerResources(p *field.Path, r *corev1.ResourceRequirements, claims names) field.ErrorList {
	errs := requirements(p, r, containerResourceName)
	return append(errs, claimNames(p.Child("claims"), r.Claims, claims)...)
}

// requirements holds the rules that the resources of containers and of Pods share; name judges a resource's name.
func requirements(p *field.Path, r *corev1.ResourceRequirements, name func(*field.Path, string) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	limits, requests := p.Child("limits"), p.Child("requests")
	plain, huge := false, false
	note := func(n corev1.ResourceName) {
		plain = plain || n == corev1.ResourceCPU || n == corev1.ResourceMemory
		huge = huge || isHugePage(n)
	}
	for _, n := range sortedNames(r.Limits) {
		at := limits.Key(string(n))
		errs = append(errs, name(at, string(n))...)
		errs = append(errs, quantity(at, n, r.Limits[n])...)
		errs = append(errs, pageMultiple(at, n, r.Limits[n])...)
		note(n)
	}
	for _, n := range sortedNames(r.Requests) {
		at := requests.Key(string(n))
		errs = append(errs, name(at, string(n))...)
		errs = append(errs, quantity(at, n, r.Requests[n])...)
		errs = append(errs, pageMultiple(at, n, r.Requests[n])...)
		errs = append(errs, requestAgainstLimit(requests, limits, n, r)...)
		note(n)
	}
	if huge && !plain {
		errs = append(errs, field.Forbidden(p, "HugePages require cpu or memory"))
	}
	return errs
}

// requestAgainstLimit wants a request no larger than its limit, and equal to it where nothing can be overcommitted.
func requestAgainstLimit(requests, limits *field.Path, n corev1.ResourceName, r *corev1.ResourceRequirements) field.ErrorList {
	request := r.Requests[n]
	limit, ok := r.Limits[n]
	switch {
	case !ok && !overcommits(n):
		return field.ErrorList{field.Required(limits, "Limit must be set for non overcommitable resources")}
	case !ok:
		return nil
	case !overcommits(n) && request.Cmp(limit) != 0:
		return field.ErrorList{field.Invalid(requests, request.String(), fmt.Sprintf("must be equal to %s limit of %s", n, limit.String()))}
	case overcommits(n) && request.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(requests, request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", n, limit.String()))}
	}
	return nil
}

// quantity refuses negative amounts, and fractions of what cannot be split.
func quantity(p *field.Path, n corev1.ResourceName, q resource.Quantity) field.ErrorList {
	if q.Sign() < 0 {
		return field.ErrorList{field.Invalid(p, q.String(), notNegative)}
	}
	if isWhole(n) && q.MilliValue()%perThousand != 0 {
		return field.ErrorList{field.Invalid(p, q.String(), wholeNumber)}
	}
	return nil
}

// pageMultiple wants huge pages in whole pages.
func pageMultiple(p *field.Path, n corev1.ResourceName, q resource.Quantity) field.ErrorList {
	if !isHugePage(n) {
		return nil
	}
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(n), corev1.ResourceHugePagesPrefix))
	if err == nil && size.Sign() > 0 && size.MilliValue()%perThousand == 0 && q.Value()%size.Value() == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), n))}
}

func containerResourceName(p *field.Path, name string) field.ErrorList {
	errs := qualifiedName(p, name)
	n, plain := corev1.ResourceName(name), !strings.Contains(name, "/")
	if len(errs) == 0 && plain && !isStandard(name) {
		errs = append(errs, field.Invalid(p, name, "must be a standard resource type or fully qualified"))
	}
	switch {
	case plain && !isStandardForContainers(n):
		errs = append(errs, field.Invalid(p, name, "must be a standard resource for containers"))
	case !plain && !isNative(n) && !isExtended(n):
		errs = append(errs, field.Invalid(p, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// claimNames wants each claim of a container to be one of the Pod's, and none twice.
func claimNames(p *field.Path, claims []corev1.ResourceClaim, pod names) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, claim := range claims {
		at := p.Index(i)
		if claim.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		errs = append(errs, newClaim(at, claim, taken)...)
		if !pod[claim.Name] {
			missing := field.NotFound(at, claim.Name)
			missing.Detail = "must be one of the names in pod.spec.resourceClaims"
			if len(pod) == 0 {
				missing.Detail += " which is empty"
			} else {
				missing.Detail += ": " + strings.Join(slices.Sorted(maps.Keys(pod)), ", ")
			}
			errs = append(errs, missing)
		}
	}
	return errs
}

// newClaim refuses a claim, or one request of it, that was taken before, as a whole or in part.
func newClaim(p *field.Path, claim corev1.ResourceClaim, taken names) field.ErrorList {
	if taken[claim.Name] {
		return field.ErrorList{field.Duplicate(p, claim.Name)}
	}
	if claim.Request != "" {
		errs := dnsLabel(p.Child("request"), claim.Request)
		if key := claim.Name + "/" + claim.Request; taken.take(key) {
			errs = append(errs, field.Duplicate(p, key))
		}
		return errs
	}
	var errs field.ErrorList
	for key := range taken {
		if strings.HasPrefix(key, claim.Name+"/") {
			errs = append(errs, field.Duplicate(p, claim.Name))
		}
	}
	taken.take(claim.Name)
	return errs
}

// podResources holds the rules of the resources of a Pod as a whole.
func podResources(p *field.Path, spec *corev1.PodSpec, claims names) field.ErrorList {
	r := spec.Resources
	if r == nil {
		return nil
	}
	if spec.OS != nil && spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(p, "may not be set for a windows pod")}
	}
	var errs field.ErrorList
	if r.Claims != nil {
		errs = append(errs, field.Forbidden(p.Child("claims"), "claims may not be set for Resources at pod-level"))
	}
	errs = append(errs, requirements(p, r, podResourceName)...)
	errs = append(errs, claimNames(p.Child("claims"), r.Claims, claims)...)
	return append(errs, podTotals(p, spec)...)
}

func podResourceName(p *field.Path, name string) field.ErrorList {
	errs := qualifiedName(p, name)
	if len(errs) > 0 {
		return errs
	}
	if !strings.Contains(name, "/") && !isStandard(name) {
		return field.ErrorList{field.Invalid(p, name, "must be a standard resource type or fully qualified")}
	}
	if !podresource.IsSupportedPodLevelResource(corev1.ResourceName(name)) {
		var supported []string
		for n := range podresource.SupportedPodLevelResources() {
			supported = append(supported, string(n))
		}
		slices.Sort(supported)
		errs = append(errs, field.NotSupported(p, name, supported))
	}
	return errs
}

// podTotals wants a Pod's request to cover its containers' together and its limit to cover each container's.
func podTotals(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	pod := &corev1.Pod{Spec: *spec}
	sums := podresource.AggregateContainerRequests(pod, podresource.PodResourcesOptions{})
	for _, n := range sortedNames(sums) {
		sum := sums[n]
		if q, ok := spec.Resources.Requests[n]; ok && sum.Cmp(q) > 0 {
			errs = append(errs, field.Invalid(p.Child("requests").Key(string(n)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String())))
		}
	}
	limits := podresource.AggregateContainerLimits(pod, podresource.PodResourcesOptions{})
	for _, n := range sortedNames(limits) {
		sum := limits[n]
		if q, ok := spec.Resources.Limits[n]; ok && isHugePage(n) && sum.Cmp(q) > 0 {
			errs = append(errs, field.Invalid(p.Child("limits").Key(string(n)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container limits of %s", sum.String())))
		}
	}
	return append(errs, limitsWithin(p.Child("containers"), spec.Containers, spec.Resources.Limits)...)
}

// limitsWithin reports at paths below the Pod's resources, as upstream does.
func limitsWithin(p *field.Path, containers []corev1.Container, pod corev1.ResourceList) field.ErrorList {
	var errs field.ErrorList
	for i := range containers {
		for _, n := range sortedNames(containers[i].Resources.Limits) {
			limit := containers[i].Resources.Limits[n]
			if q, ok := pod[n]; ok && limit.Cmp(q) > 0 {
				errs = append(errs, field.Invalid(p.Index(i).Key(string(n)).Child("limits"), limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", q.String())))
			}
		}
	}
	return errs
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	sorted := make([]corev1.ResourceName, 0, len(list))
	for n := range list {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	return sorted
}

func isHugePage(n corev1.ResourceName) bool {
	return strings.HasPrefix(string(n), corev1.ResourceHugePagesPrefix)
}

func isStandardForContainers(n corev1.ResourceName) bool {
	return n == corev1.ResourceCPU || n == corev1.ResourceMemory || n == corev1.ResourceEphemeralStorage || isHugePage(n)
}

// isStandard says whether a name without a domain means a resource anywhere in the API.
func isStandard(name string) bool {
	n := corev1.ResourceName(name)
	if isStandardForContainers(n) || isWhole(n) || n == corev1.ResourceStorage {
		return true
	}
	for _, prefix := range []string{corev1.DefaultResourceRequestsPrefix, "limits."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			rest := corev1.ResourceName(rest)
			return isStandardForContainers(rest) || rest == corev1.ResourceStorage
		}
	}
	return false
}

func isNative(n corev1.ResourceName) bool {
	return !strings.Contains(string(n), "/") || strings.Contains(string(n), nativeDomain)
}

// isExtended tells a resource that a device plugin brings: qualified, of a foreign domain, usable in a quota too.
func isExtended(n corev1.ResourceName) bool {
	if isNative(n) || strings.HasPrefix(string(n), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(n))) == 0
}

// overcommits says whether more of the resource may be promised than there is.
func overcommits(n corev1.ResourceName) bool { return isNative(n) && !isHugePage(n) }

// isWhole says whether the resource comes in whole numbers only.
func isWhole(n corev1.ResourceName) bool {
	switch n {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
		corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
		corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return isExtended(n)
}
