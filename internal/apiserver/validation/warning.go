package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodWarnings are the Warning headers that an accepted Pod deserves: what is deprecated in it, and what is likely not
// meant. old is nil at a creation; an update warns about what its client could have left alone too, as upstream does.
func PodWarnings(pod, old *corev1.Pod) []string {
	var w []string
	if old == nil {
		if msgs := validation.IsDNS1123Label(pod.Name); pod.Name != "" && len(msgs) > 0 {
			w = append(w, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
		}
	}
	p := field.NewPath("spec")
	w = append(w, labelWarnings(p.Child("nodeSelector"), pod.Spec.NodeSelector)...)
	w = append(w, annotationWarnings(pod)...)
	for i := range pod.Spec.Volumes {
		w = append(w, volumeWarnings(p.Child("volumes").Index(i), &pod.Spec.Volumes[i])...)
	}
	w = append(w, listWarnings(p, &pod.Spec)...)
	eachContainer(p, &pod.Spec, func(at *field.Path, c *corev1.Container) {
		w = append(w, containerWarnings(at, c)...)
	})
	return w
}

func labelWarnings(p *field.Path, selector map[string]string) []string {
	var w []string
	for _, d := range []struct{ key, since, instead string }{
		{corev1.LabelFailureDomainBetaZone, "v1.17", corev1.LabelTopologyZone},
		{corev1.LabelFailureDomainBetaRegion, "v1.17", corev1.LabelTopologyRegion},
		{corev1.LabelInstanceType, "v1.17", corev1.LabelInstanceTypeStable},
		{"beta.kubernetes.io/os", "v1.14", corev1.LabelOSStable},
		{"beta.kubernetes.io/arch", "v1.14", corev1.LabelArchStable},
	} {
		if _, ok := selector[d.key]; ok {
			w = append(w, fmt.Sprintf("%s: deprecated since %s; use %q instead", p.Key(d.key), d.since, d.instead))
		}
	}
	return w
}

func annotationWarnings(pod *corev1.Pod) []string {
	var w []string
	p := field.NewPath("metadata", "annotations")
	if _, ok := pod.Annotations[corev1.SeccompPodAnnotationKey]; ok {
		w = append(w, fmt.Sprintf("%s: non-functional in v1.27+; use the \"seccompProfile\" field instead", p.Key(corev1.SeccompPodAnnotationKey)))
	}
	eachContainer(field.NewPath("spec"), &pod.Spec, func(_ *field.Path, c *corev1.Container) {
		if key := corev1.SeccompContainerAnnotationKeyPrefix + c.Name; pod.Annotations[key] != "" {
			w = append(w, fmt.Sprintf("%s: non-functional in v1.27+; use the \"seccompProfile\" field instead", p.Key(key)))
		}
		key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
		if pod.Annotations[key] != "" && (c.SecurityContext == nil || c.SecurityContext.AppArmorProfile == nil) {
			w = append(w, fmt.Sprintf("%s: deprecated since v1.30; use the \"appArmorProfile\" field instead", p.Key(key)))
		}
	})
	return w
}

func volumeWarnings(p *field.Path, v *corev1.Volume) []string {
	var w []string
	for _, d := range []struct {
		name, state string
		set         bool
	}{
		{"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+", v.PhotonPersistentDisk != nil},
		{"gitRepo", "deprecated in v1.11", v.GitRepo != nil},
		{"scaleIO", "deprecated in v1.16, non-functional in v1.22+", v.ScaleIO != nil},
		{"flocker", "deprecated in v1.22, non-functional in v1.25+", v.Flocker != nil},
		{"storageOS", "deprecated in v1.22, non-functional in v1.25+", v.StorageOS != nil},
		{"quobyte", "deprecated in v1.22, non-functional in v1.25+", v.Quobyte != nil},
		{"glusterfs", "deprecated in v1.25, non-functional in v1.26+", v.Glusterfs != nil},
		{"cephfs", "deprecated in v1.28, non-functional in v1.31+", v.CephFS != nil},
		{"rbd", "deprecated in v1.28, non-functional in v1.31+", v.RBD != nil},
	} {
		if d.set {
			w = append(w, fmt.Sprintf("%s: %s", p.Child(d.name), d.state))
		}
	}
	return w
}

func listWarnings(p *field.Path, spec *corev1.PodSpec) []string {
	var w []string
	ips, secrets := names{}, names{}
	for i, a := range spec.HostAliases {
		if ips.take(a.IP) {
			w = append(w, fmt.Sprintf("%s: duplicate ip %q", p.Child("hostAliases").Index(i).Child("ip"), a.IP))
		}
	}
	for i, s := range spec.ImagePullSecrets {
		at := p.Child("imagePullSecrets").Index(i)
		if s.Name == "" {
			w = append(w, fmt.Sprintf("%s: invalid empty name %q", at.Child("name"), s.Name))
		} else if secrets.take(s.Name) {
			w = append(w, fmt.Sprintf("%s: duplicate name %q", at.Child("name"), s.Name))
		}
	}
	return w
}

func containerWarnings(p *field.Path, c *corev1.Container) []string {
	var w []string
	taken := names{}
	for i, e := range c.Env {
		if taken.take(e.Name) && !strings.Contains(e.Value, "$("+e.Name+")") {
			w = append(w, fmt.Sprintf("%s: hides previous definition of %q, which may be dropped when using apply", p.Child("env").Index(i), e.Name))
		}
	}
	for name, list := range map[string]corev1.ResourceList{"limits": c.Resources.Limits, "requests": c.Resources.Requests} {
		for _, n := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			if q, ok := list[n]; ok && q.MilliValue()%perThousand != 0 && q.Cmp(*resource.NewQuantity(0, resource.DecimalSI)) > 0 {
				w = append(w, fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer", p.Child("resources", name).Key(string(n)), q.String()))
			}
		}
	}
	ports := names{}
	for i, port := range c.Ports {
		if key := fmt.Sprintf("%d/%s/%s/%d", port.ContainerPort, port.Protocol, port.HostIP, port.HostPort); ports.take(key) {
			w = append(w, fmt.Sprintf("%s: duplicate port definition", p.Child("ports").Index(i)))
		}
	}
	return w
}
