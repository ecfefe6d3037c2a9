package validation

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

const mustNotBeNegative = "must be a non-negative integer"

// PodStatusUpdate judges an update of a Pod's status. The spec is taken from the old Pod by the caller.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := updatedMeta(pod, old)
	p := field.NewPath("status")
	errs = append(errs, podConditions(p.Child("conditions"), pod.Status.Conditions)...)
	if pod.Spec.NodeName != old.Spec.NodeName {
		errs = append(errs, field.Forbidden(p.Child("nodeName"), "may not be changed directly"))
	}
	errs = append(errs, nomination(p.Child("nominatedNodeName"), pod, old)...)
	if g := pod.Status.ObservedGeneration; g < 0 {
		errs = append(errs, field.Invalid(p.Child("observedGeneration"), g, mustNotBeNegative))
	}
	errs = append(errs, apivalidation.ValidateImmutableField(pod.Status.QOSClass, old.Status.QOSClass, p.Child("qosClass"))...)
	errs = append(errs, claimStatuses(p.Child("resourceClaimStatuses"), pod)...)
	errs = append(errs, extendedClaim(p.Child("extendedResourceClaimStatus"), pod)...)
	errs = append(errs, addresses(p, &pod.Status, &old.Status)...)
	return append(errs, containerStatuses(p, pod, old)...)
}

func podConditions(p *field.Path, conditions []corev1.PodCondition) field.ErrorList {
	var errs field.ErrorList
	for i, c := range conditions {
		if c.ObservedGeneration < 0 {
			errs = append(errs, field.Invalid(p.Index(i).Child("observedGeneration"), c.ObservedGeneration, mustNotBeNegative))
		}
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			errs = append(errs, qualifiedName(p.Index(i).Child("Type"), string(c.Type))...)
		}
	}
	return errs
}

// nomination lets nobody propose a node for a Pod that has one.
func nomination(p *field.Path, pod, old *corev1.Pod) field.ErrorList {
	name := pod.Status.NominatedNodeName
	if name == "" || name == old.Status.NominatedNodeName {
		return nil
	}
	errs := dnsSubdomain(p, name)
	if old.Spec.NodeName != "" {
		errs = append(errs, field.Forbidden(p, "may not be set on pods that are already bound to a node"))
	}
	return errs
}

// claimStatuses wants each status to be of one of the Pod's claims, and one at most of each.
func claimStatuses(p *field.Path, pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, s := range pod.Status.ResourceClaimStatuses {
		at := p.Index(i)
		if !slices.ContainsFunc(pod.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name }) {
			errs = append(errs, field.Invalid(at.Child("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if taken.take(s.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), s.Name))
		}
		if s.ResourceClaimName != nil {
			errs = append(errs, dnsSubdomain(at.Child("resourceClaimName"), *s.ResourceClaimName)...)
		}
	}
	return errs
}

// addresses holds the rules of the Pod's and its host's IP addresses.
func addresses(p *field.Path, s, old *corev1.PodStatus) field.ErrorList {
	errs := families(p.Child("podIPs"), podIPs(s), podIPs(old))
	if len(s.HostIPs) > 0 && s.HostIP != s.HostIPs[0].IP {
		errs = append(errs, field.Invalid(p.Child("hostIPs").Index(0).Child("ip"), s.HostIPs[0].IP, "must be equal to `hostIP`"))
	}
	return append(errs, families(p.Child("hostIPs"), hostIPs(s), hostIPs(old))...)
}

func podIPs(s *corev1.PodStatus) []string {
	var ips []string
	for _, ip := range s.PodIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

func hostIPs(s *corev1.PodStatus) []string {
	var ips []string
	for _, ip := range s.HostIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

// families wants addresses, at most one of each IP family. Those that were there before may stay as they are.
func families(p *field.Path, ips, before []string) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		errs = append(errs, address(p.Index(i), ip, before...)...)
	}
	if len(ips) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		errs = append(errs, field.InternalError(p, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(ips) > 2 {
		errs = append(errs, field.Invalid(p, ips, "may specify no more than one IP for each IP family"))
	}
	return errs
}

// containerStatuses holds the rules of the statuses of all kinds of containers.
func containerStatuses(p *field.Path, pod, old *corev1.Pod) field.ErrorList {
	regular, inits := restarts(&old.Spec, old.Spec.Containers), restarts(&old.Spec, old.Spec.InitContainers)
	never := func(string, int32) bool { return false }
	var errs field.ErrorList
	for _, kind := range []struct {
		name       string
		now, was   []corev1.ContainerStatus
		containers []corev1.Container
		restarts   func(name string, exitCode int32) bool
	}{
		{"containerStatuses", pod.Status.ContainerStatuses, old.Status.ContainerStatuses, pod.Spec.Containers, regular},
		{"initContainerStatuses", pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, pod.Spec.InitContainers, inits},
		{"ephemeralContainerStatuses", pod.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, nil, never},
	} {
		at := p.Child(kind.name)
		errs = append(errs, transitions(at, kind.now, kind.was, kind.restarts)...)
		for i := range kind.now {
			errs = append(errs, containerUser(at.Index(i).Child("user", "linux"), kind.now[i].User, pod.Spec.OS)...)
			allocated := at.Index(i).Child("allocatedResourcesStatus")
			if kind.name != "ephemeralContainerStatuses" {
				errs = append(errs, allocatedResources(allocated, &kind.now[i], kind.containers, pod.Status.ExtendedResourceClaimStatus)...)
			} else if len(kind.now[i].AllocatedResourcesStatus) > 0 {
				errs = append(errs, field.Forbidden(allocated, "must not be specified in container status"))
			}
		}
	}
	return errs
}

// restarts makes the rule of which of the containers may come back after an exit: what their own restart rules or, for
// want of a matching one, their own restart policy or the Pod's says. A container that is not the Pod's never does.
func restarts(spec *corev1.PodSpec, containers []corev1.Container) func(string, int32) bool {
	all := allMayRestart(spec)
	return func(name string, exitCode int32) bool {
		i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
		if all || i < 0 {
			return all
		}
		policy := spec.RestartPolicy
		if own := containers[i].RestartPolicy; own != nil {
			if rule := matchingRule(containers[i].RestartPolicyRules, exitCode); rule != nil && rule.Action == corev1.ContainerRestartRuleActionRestart {
				return true
			}
			policy = corev1.RestartPolicy(*own)
		}
		return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && exitCode != 0
	}
}

// allMayRestart tells whether some container's exit may restart all of them, whatever the policies say.
func allMayRestart(spec *corev1.PodSpec) bool {
	all := func(r corev1.ContainerRestartRule) bool {
		return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
	}
	return slices.ContainsFunc(slices.Concat(spec.InitContainers, spec.Containers), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, all)
	})
}

// matchingRule is the first of the rules that speaks of this exit code, or nil.
func matchingRule(rules []corev1.ContainerRestartRule, exitCode int32) *corev1.ContainerRestartRule {
	for i := range rules {
		codes := rules[i].ExitCodes
		if codes == nil {
			continue
		}
		if listed := slices.Contains(codes.Values, exitCode); listed == (codes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return &rules[i]
		}
	}
	return nil
}

// transitions keeps terminated what may not come back.
func transitions(p *field.Path, now, before []corev1.ContainerStatus, restarts func(name string, exitCode int32) bool) field.ErrorList {
	var errs field.ErrorList
	for i := range before {
		was := &before[i]
		if was.State.Terminated == nil || restarts(was.Name, was.State.Terminated.ExitCode) {
			continue
		}
		if slices.ContainsFunc(now, func(s corev1.ContainerStatus) bool { return s.Name == was.Name && s.State.Terminated == nil }) {
			errs = append(errs, field.Forbidden(p.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
	return errs
}

// containerUser holds the rules of whom a container's first process runs as.
func containerUser(p *field.Path, user *corev1.ContainerUser, os *corev1.PodOS) field.ErrorList {
	if user == nil || user.Linux == nil {
		return nil
	}
	if os != nil && os.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(p, notOnWindows)}
	}
	var errs field.ErrorList
	if uid := user.Linux.UID; uid < 0 || uid > math.MaxUint32 { // what an image says, which a spec may not
		errs = append(errs, field.Invalid(p.Child("uid"), uid, validation.InclusiveRangeError(0, math.MaxUint32)))
	}
	errs = append(errs, groupID(p.Child("gid"), &user.Linux.GID)...)
	for i := range user.Linux.SupplementalGroups {
		errs = append(errs, groupID(p.Child("supplementalGroups").Index(i), &user.Linux.SupplementalGroups[i])...)
	}
	return errs
}

// allocatedResources wants each resource whose health is told to be one that the container asks for.
func allocatedResources(p *field.Path, s *corev1.ContainerStatus, containers []corev1.Container, extended *corev1.PodExtendedResourceClaimStatus) field.ErrorList {
	var errs field.ErrorList
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
	for j, r := range s.AllocatedResourcesStatus {
		at := p.Index(j)
		claim, isClaim := strings.CutPrefix(string(r.Name), "claim:")
		switch {
		case i < 0:
		case isClaim && !claims(&containers[i], claim) && !claimsExtended(&containers[i], claim, extended):
			errs = append(errs, field.Invalid(at.Child("name"), r.Name, "must match one of the container's resource claims as 'claim:<claimName>/<requestName>' when container.resources.claims[*].request is set or 'claim:<claimName>' when it is empty"))
		case !isClaim && !requests(&containers[i], r.Name):
			errs = append(errs, field.Invalid(at.Child("name"), r.Name, "must match one of the container's resource requests"))
		}
		errs = append(errs, resourceHealth(at.Child("resources"), r.Resources)...)
	}
	return errs
}

func requests(c *corev1.Container, resource corev1.ResourceName) bool {
	_, ok := c.Resources.Requests[resource]
	return ok
}

// claims says whether the container has the claim, which is written as NAME[/REQUEST].
func claims(c *corev1.Container, claim string) bool {
	return slices.ContainsFunc(c.Resources.Claims, func(r corev1.ResourceClaim) bool {
		return claim == r.Name && r.Request == "" || r.Request != "" && claim == r.Name+"/"+r.Request
	})
}

// claimsExtended says whether the claim, which is written as NAME/REQUEST, was made for an extended resource of the container.
func claimsExtended(c *corev1.Container, claim string, s *corev1.PodExtendedResourceClaimStatus) bool {
	name, request, _ := strings.Cut(claim, "/")
	return s != nil && request != "" && name == s.ResourceClaimName && slices.ContainsFunc(s.RequestMappings, func(m corev1.ContainerExtendedResourceRequest) bool {
		q := c.Resources.Requests[corev1.ResourceName(m.ResourceName)]
		return m.ContainerName == c.Name && m.RequestName == request && !q.IsZero()
	})
}

// extendedClaim wants the claim that was made for the containers' extended resources to name some that they request.
func extendedClaim(p *field.Path, pod *corev1.Pod) field.ErrorList {
	s := pod.Status.ExtendedResourceClaimStatus
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	if len(s.RequestMappings) == 0 {
		errs = append(errs, field.Required(p.Child("requestMappings"), "at least one request mapping is required"))
	}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for i, m := range s.RequestMappings {
		at := p.Child("requestMappings").Index(i)
		c := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == m.ContainerName })
		if c < 0 {
			errs = append(errs, field.Invalid(at.Child("containerName"), m.ContainerName, "must match the name of an entry in spec.initContainers.name or spec.containers.name"))
		} else if !requests(&all[c], corev1.ResourceName(m.ResourceName)) {
			errs = append(errs, field.Invalid(at.Child("resourceName"), m.ResourceName, "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"))
		}
		errs = append(errs, invalid(p.Child("requestName"), m.RequestName, validation.IsDNS1123Label(m.RequestName))...) // upstream's path
		if slices.Contains(s.RequestMappings[:i], m) {
			errs = append(errs, field.Duplicate(at.Child("containerName"), m.ContainerName), field.Duplicate(at.Child("resourceName"), m.ResourceName), field.Duplicate(at.Child("requestName"), m.RequestName))
		}
	}
	if s.ResourceClaimName == "" {
		return append(errs, field.Required(p.Child("resourceClaimName"), ""))
	}
	return append(errs, dnsSubdomain(p.Child("resourceClaimName"), s.ResourceClaimName)...)
}

func resourceHealth(p *field.Path, list []corev1.ResourceHealth) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, r := range list {
		at := p.Index(i)
		errs = append(errs, oneOf(at.Child("health"), r.Health, corev1.ResourceHealthStatusHealthy,
			corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)...)
		if m := r.Message; m != nil && *m == "" {
			errs = append(errs, field.Required(at.Child("message"), "must be non-empty if specified"))
		} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
			errs = append(errs, field.TooLong(at.Child("message"), *m, corev1.ResourceHealthMessageMaxLength))
		}
		if taken.take(string(r.ResourceID)) {
			errs = append(errs, field.Duplicate(at.Child("resourceID"), r.ResourceID))
		}
	}
	return errs
}
