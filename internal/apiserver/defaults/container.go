package defaults

import (
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

const (
	fieldVersion   = "v1"
	probeTimeout   = 1
	probePeriod    = 10
	probeSuccesses = 1
	probeFailures  = 3
)

// SetContainer fills in the defaults of one container, regular or init.
func SetContainer(c *corev1.Container) {
	fill(&c.ImagePullPolicy, PullPolicy(c.Image))
	fill(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	fill(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		fill(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			setFieldRef(from.FieldRef)
			if from.FileKeyRef != nil && from.FileKeyRef.Optional == nil {
				from.FileKeyRef.Optional = new(false)
			}
		}
	}
	roundResources(&c.Resources)
	setProbe(c.LivenessProbe)
	setProbe(c.ReadinessProbe)
	setProbe(c.StartupProbe)
	if c.Lifecycle != nil {
		setHook(c.Lifecycle.PostStart)
		setHook(c.Lifecycle.PreStop)
	}
}

// SetEphemeralContainer fills in the defaults of one ephemeral container: the same as any container's.
func SetEphemeralContainer(c *corev1.EphemeralContainer) {
	plain := corev1.Container(c.EphemeralContainerCommon)
	SetContainer(&plain)
	c.EphemeralContainerCommon = corev1.EphemeralContainerCommon(plain)
}

// PullPolicy is the pull policy that an image reference implies: Always for the tag latest, named or implied, and
// IfNotPresent for anything else, unparsable references included.
func PullPolicy(image string) corev1.PullPolicy {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return corev1.PullIfNotPresent
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	if hasTag && tagged.Tag() == "latest" || !hasTag && !hasDigest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func setFieldRef(f *corev1.ObjectFieldSelector) {
	if f != nil {
		fill(&f.APIVersion, fieldVersion)
	}
}

func setProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	fill(&p.TimeoutSeconds, probeTimeout)
	fill(&p.PeriodSeconds, probePeriod)
	fill(&p.SuccessThreshold, probeSuccesses)
	fill(&p.FailureThreshold, probeFailures)
	setHTTPGet(p.HTTPGet)
	if p.GRPC != nil && p.GRPC.Service == nil {
		p.GRPC.Service = new("")
	}
}

func setHook(h *corev1.LifecycleHandler) {
	if h != nil {
		setHTTPGet(h.HTTPGet)
	}
}

func setHTTPGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	fill(&get.Path, "/")
	fill(&get.Scheme, corev1.URISchemeHTTP)
}

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}
