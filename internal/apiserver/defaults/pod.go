package defaults

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

const (
	gracePeriod = int64(corev1.DefaultTerminationGracePeriodSeconds)
	// shortestGrace is what a negative grace period becomes.
	shortestGrace = int64(1)
)

// SetPod fills in the defaults of a Pod: those of its spec and those that Pods have but Pod templates have not
// (requests from limits, service links, host ports).
func SetPod(pod *corev1.Pod) {
	SetPodSpec(&pod.Spec)
	if *pod.Spec.TerminationGracePeriodSeconds < 0 {
		pod.Spec.TerminationGracePeriodSeconds = new(shortestGrace)
	}
	for i := range pod.Spec.Containers {
		setRequests(&pod.Spec.Containers[i].Resources)
	}
	for i := range pod.Spec.InitContainers {
		setRequests(&pod.Spec.InitContainers[i].Resources)
	}
	if pod.Spec.EnableServiceLinks == nil {
		pod.Spec.EnableServiceLinks = new(corev1.DefaultEnableServiceLinks)
	}
	if pod.Spec.HostNetwork {
		setHostPorts(pod.Spec.Containers)
		setHostPorts(pod.Spec.InitContainers)
	}
	setStatus(&pod.Status)
	dropOldAnnotations(pod.Annotations)
}

// SetPodTemplate fills in the defaults of a PodTemplate.
func SetPodTemplate(t *corev1.PodTemplate) { setTemplate(&t.Template) }

func setTemplate(t *corev1.PodTemplateSpec) {
	SetPodSpec(&t.Spec)
	dropOldAnnotations(t.Annotations)
}

// SetPodSpec fills in the defaults that a Pod's spec and a Pod template's spec share.
func SetPodSpec(spec *corev1.PodSpec) {
	// Before anything else: kubectl prints either name, upstream keeps both equal.
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	fill(&spec.DNSPolicy, corev1.DNSClusterFirst)
	fill(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	fill(&spec.SchedulerName, corev1.DefaultSchedulerName)
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = new(gracePeriod)
	}
	roundUp(spec.Overhead)
	roundResources(spec.Resources)
	for i := range spec.Volumes {
		setVolume(&spec.Volumes[i])
	}
	for i := range spec.InitContainers {
		SetContainer(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		SetContainer(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		SetEphemeralContainer(&spec.EphemeralContainers[i])
	}
}

// setRequests makes the request of each resource that has only a limit equal to the limit.
func setRequests(r *corev1.ResourceRequirements) {
	if len(r.Limits) == 0 {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	for name, limit := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

// setHostPorts gives each port of a container on the host's network the same port number on the host.
func setHostPorts(containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Ports {
			if p := &containers[i].Ports[j]; p.HostPort == 0 {
				p.HostPort = p.ContainerPort
			}
		}
	}
}

// SetPodResources completes partly given pod-level resources from those of the containers: when the Pod is made or
// resized, and admission has added its containers. A limit follows only where every container has one.
func SetPodResources(pod *corev1.Pod) {
	r := pod.Spec.Resources
	if r == nil || len(r.Limits)+len(r.Requests) == 0 {
		return
	}
	lacks := func(list corev1.ResourceList, name corev1.ResourceName) bool {
		_, given := list[name]
		return !given && resource.IsSupportedPodLevelResource(name)
	}
	limits := resource.AggregateContainerLimits(pod, resource.PodResourcesOptions{})
	for name, sum := range limits {
		if isHugePage(name) && lacks(r.Requests, name) && lacks(r.Limits, name) {
			put(&r.Limits, name, sum)
		}
	}
	for name, sum := range resource.AggregateContainerRequests(pod, resource.PodResourcesOptions{}) {
		if !isHugePage(name) && lacks(r.Requests, name) {
			put(&r.Requests, name, sum)
		}
	}
	for name, limit := range r.Limits {
		if lacks(r.Requests, name) {
			put(&r.Requests, name, limit)
		}
	}
	for name, request := range r.Requests {
		if limit := limits[name]; lacks(r.Limits, name) && allLimit(&pod.Spec, name) {
			if request.Cmp(limit) > 0 {
				limit = request
			}
			put(&r.Limits, name, limit)
		}
	}
}

func allLimit(spec *corev1.PodSpec, name corev1.ResourceName) bool {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if _, ok := list[i].Resources.Limits[name]; !ok {
				return false
			}
		}
	}
	return true
}

// setStatus rounds quantities, and keeps podIP and podIPs[0] equal. Where they differ podIP counts: an older node agent knows only that field.
func setStatus(s *corev1.PodStatus) {
	roundUp(s.AllocatedResources)
	roundResources(s.Resources)
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			roundUp(list[i].AllocatedResources)
			roundResources(list[i].Resources)
		}
	}
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
}

// dropOldAnnotations removes what very old clients said of init containers in annotations: neither stored nor returned.
func dropOldAnnotations(annotations map[string]string) {
	for _, stage := range []string{"alpha", "beta"} {
		delete(annotations, "pod."+stage+".kubernetes.io/init-containers")
		delete(annotations, "pod."+stage+".kubernetes.io/init-container-statuses")
	}
}
