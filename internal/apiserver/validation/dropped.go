package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DropDisabledPodFields clears the fields that the feature gates of Kubernetes 1.37 leave off by default, as upstream
// does before it judges a Pod, unless the old Pod uses them already. At a creation, where old is nil, it also derives
// what upstream derives then: label selectors from label keys, AppArmor fields and annotations from one another, and
// the condition of a gated Pod.
func DropDisabledPodFields(pod, old *corev1.Pod) {
	if old == nil {
		DropDisabledSpecFields(&pod.Spec, nil)
		derive(pod)
		return
	}
	DropDisabledSpecFields(&pod.Spec, &old.Spec)
}

// DropDisabledStatusFields is DropDisabledPodFields for the status that a node sends.
func DropDisabledStatusFields(s *corev1.PodStatus) {
	s.NodeAllocatableResourceClaimStatuses, s.VolumeHealth = nil, nil
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			for j := range list[i].VolumeMounts {
				list[i].VolumeMounts[j].VolumeStatus = nil
			}
		}
	}
}

// DropDisabledSpecFields is DropDisabledPodFields for a spec, of a Pod or of a template.
func DropDisabledSpecFields(spec, old *corev1.PodSpec) {
	used := usage(old)
	if !used.group {
		spec.SchedulingGroup = nil
	}
	if !used.responders {
		spec.EvictionResponders = nil
	}
	for i := range spec.Containers {
		dropFromContainer(&spec.Containers[i], used)
	}
	for i := range spec.InitContainers {
		dropFromContainer(&spec.InitContainers[i], used)
	}
	for i := range spec.EphemeralContainers {
		plain := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		dropFromContainer(&plain, used)
		spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(plain)
	}
	for i := range spec.Volumes {
		dropFromVolume(&spec.Volumes[i], used)
	}
}

// DropDisabledNodeFields clears what nodes had before Kubernetes 1.24, and what is behind a gate that is off, unless the
// old node uses it.
func DropDisabledNodeFields(n, old *corev1.Node) {
	if old == nil {
		old, n.Status.Config = &corev1.Node{}, nil
	}
	if old.Spec.ConfigSource == nil {
		n.Spec.ConfigSource = nil
	}
	if old.Spec.PodPreemptionPolicy == nil {
		n.Spec.PodPreemptionPolicy = nil
	}
}

// gated says which gated fields a spec uses.
type gated struct {
	group, responders, stopSignal, protocol, mode, bindOptions, emptyDirMode bool
}

func usage(spec *corev1.PodSpec) gated {
	var g gated
	if spec == nil {
		return g
	}
	g.group, g.responders = spec.SchedulingGroup != nil, len(spec.EvictionResponders) > 0
	eachContainer(nil, spec, func(_ *field.Path, c *corev1.Container) {
		g.stopSignal = g.stopSignal || c.Lifecycle != nil && c.Lifecycle.StopSignal != nil
		for _, m := range c.VolumeMounts {
			g.bindOptions = g.bindOptions || len(m.BindMountOptions) > 0
		}
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			g.protocol = g.protocol || p != nil && p.HTTPGet != nil && p.HTTPGet.Protocol != nil
			g.mode = g.mode || p != nil && p.GRPC != nil && p.GRPC.Mode != nil
		}
	})
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		g.emptyDirMode = g.emptyDirMode || v.EmptyDir != nil && v.EmptyDir.Mode != nil
	}
	return g
}

func dropFromContainer(c *corev1.Container, used gated) {
	if l := c.Lifecycle; l != nil {
		if !used.stopSignal && l.StopSignal != nil {
			l.StopSignal = nil
			if *l == (corev1.Lifecycle{}) {
				c.Lifecycle = nil
			}
		}
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil && h.HTTPGet != nil && !used.protocol {
				h.HTTPGet.Protocol = nil
			}
		}
	}
	for i := range c.VolumeMounts {
		if !used.bindOptions {
			c.VolumeMounts[i].BindMountOptions = nil
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p == nil {
			continue
		}
		if p.HTTPGet != nil && !used.protocol {
			p.HTTPGet.Protocol = nil
		}
		if p.GRPC != nil && !used.mode {
			p.GRPC.Mode = nil
		}
	}
}

func dropFromVolume(v *corev1.Volume, used gated) {
	if v.EmptyDir != nil && !used.emptyDirMode {
		v.EmptyDir.Mode = nil
	}
	if v.Secret != nil {
		v.Secret.DefaultUser = nil
		dropUsers(v.Secret.Items)
	}
	if v.ConfigMap != nil {
		v.ConfigMap.DefaultUser = nil
		dropUsers(v.ConfigMap.Items)
	}
	if v.DownwardAPI != nil {
		v.DownwardAPI.DefaultUser = nil
		dropFileUsers(v.DownwardAPI.Items)
	}
	if v.Projected == nil {
		return
	}
	v.Projected.DefaultUser = nil
	for i := range v.Projected.Sources {
		s := &v.Projected.Sources[i]
		if s.ClusterTrustBundle != nil {
			s.ClusterTrustBundle.User = nil
		}
		if s.Secret != nil {
			dropUsers(s.Secret.Items)
		}
		if s.ConfigMap != nil {
			dropUsers(s.ConfigMap.Items)
		}
		if s.DownwardAPI != nil {
			dropFileUsers(s.DownwardAPI.Items)
		}
		if s.ServiceAccountToken != nil {
			s.ServiceAccountToken.User = nil
		}
		if s.PodCertificate != nil {
			s.PodCertificate.User = nil
		}
	}
}

func dropUsers(items []corev1.KeyToPath) {
	for i := range items {
		items[i].User = nil
	}
}

func dropFileUsers(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		items[i].User = nil
	}
}
