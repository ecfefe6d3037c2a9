package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// warnings collects what a client should know of an object that was accepted.
type warnings []string

func (w *warnings) add(p *field.Path, format string, args ...any) {
	*w = append(*w, fmt.Sprintf("%s: %s", p, fmt.Sprintf(format, args...)))
}

const appArmorField = `deprecated since v1.30; use the "appArmorProfile" field instead`

const nullSelector = "a null labelSelector results in matching no pod"

// PodWarnings are the Warning headers that a new Pod deserves: what is deprecated in it, and what is likely not meant.
func PodWarnings(pod *corev1.Pod) []string {
	var w warnings
	if msgs := validation.IsDNS1123Label(pod.Name); pod.Name != "" && len(msgs) > 0 {
		w.add(field.NewPath("metadata", "name"), "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs)
	}
	w.pod(nil, pod.Annotations, &pod.Spec)
	return w
}

// WorkloadWarnings are those that a new Deployment or ReplicaSet of that name deserves.
func WorkloadWarnings(name string, t *corev1.PodTemplateSpec) []string {
	var w warnings
	if msgs := validation.IsDNS1123Label(name); name != "" && len(msgs) > 0 {
		w.add(field.NewPath("metadata", "name"), "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs)
	}
	return append(w, TemplateWarnings(t)...)
}

// TemplateWarnings are those about the Pods that a workload makes.
func TemplateWarnings(t *corev1.PodTemplateSpec) []string {
	var w warnings
	w.pod(field.NewPath("spec", "template"), t.Annotations, &t.Spec)
	return w
}

// pod has the warnings of a Pod or of a template, which is at root.
func (w *warnings) pod(root *field.Path, annotations map[string]string, spec *corev1.PodSpec) {
	p := root.Child("spec")
	w.scheduling(p, spec)
	w.annotations(root, annotations, spec)
	for i := range spec.Volumes {
		w.volume(p.Child("volumes").Index(i), &spec.Volumes[i])
	}
	w.files(spec.Volumes)
	w.references(p, spec)
	inBytes := []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	w.fractions(p.Child("overhead"), spec.Overhead, inBytes...)
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		w.variables(at.Child("env"), c.Env)
		w.fractions(at.Child("resources", "limits"), c.Resources.Limits, inBytes...)
		w.fractions(at.Child("resources", "requests"), c.Resources.Requests, inBytes...)
	})
	w.ports(p, spec)
	if s := spec.TerminationGracePeriodSeconds; s != nil && *s < 0 {
		w.add(p.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
}

// AppArmorWarnings are those about AppArmor profiles said by annotation alone. They are of the Pod as its client wrote
// it, before profiles are derived.
func AppArmorWarnings(pod *corev1.Pod) []string {
	var w warnings
	eachAppArmorAnnotation(pod, func(_ *corev1.Container, key string, profile *corev1.AppArmorProfile) {
		whole := podAppArmor(pod)
		if profile == nil || whole == nil || appArmorWords(profile) != appArmorWords(whole) {
			w.add(field.NewPath("metadata", "annotations").Key(key), appArmorField)
		}
	})
	return w
}

// deprecatedLabel says what to use for a node label of the past.
func deprecatedLabel(key string) (string, bool) {
	for _, d := range []struct{ key, since, instead string }{
		{corev1.LabelFailureDomainBetaZone, "v1.17", corev1.LabelTopologyZone},
		{corev1.LabelFailureDomainBetaRegion, "v1.17", corev1.LabelTopologyRegion},
		{corev1.LabelInstanceType, "v1.17", corev1.LabelInstanceTypeStable},
		{"beta.kubernetes.io/os", "v1.14", corev1.LabelOSStable},
		{"beta.kubernetes.io/arch", "v1.14", corev1.LabelArchStable},
	} {
		if d.key == key {
			return fmt.Sprintf("deprecated since %s; use %q instead", d.since, d.instead), true
		}
	}
	return "", false
}

func (w *warnings) scheduling(p *field.Path, spec *corev1.PodSpec) {
	for _, key := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		if text, ok := deprecatedLabel(key); ok {
			w.add(p.Child("nodeSelector").Key(key), "%s", text)
		}
	}
	for i, c := range spec.TopologySpreadConstraints {
		at := p.Child("topologySpreadConstraints").Index(i)
		w.label(at.Child("topologyKey"), c.TopologyKey)
		if c.LabelSelector == nil {
			w.add(at.Child("labelSelector"), nullSelector)
		}
	}
	if a := spec.Affinity; a != nil {
		w.affinity(p.Child("affinity"), a)
	}
}

func (w *warnings) label(p *field.Path, key string) {
	if text, ok := deprecatedLabel(key); ok {
		w.add(p, "%s is %s", key, text)
	}
}

func (w *warnings) affinity(p *field.Path, a *corev1.Affinity) {
	if n := a.NodeAffinity; n != nil {
		at := p.Child("nodeAffinity")
		if hard := n.RequiredDuringSchedulingIgnoredDuringExecution; hard != nil {
			for i := range hard.NodeSelectorTerms {
				w.nodeTerm(at.Child(hardTerms, "nodeSelectorTerms").Index(i), &hard.NodeSelectorTerms[i])
			}
		}
		for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			w.nodeTerm(at.Child(softTerms).Index(i).Child("preference"), &n.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference)
		}
	}
	if f := a.PodAffinity; f != nil {
		w.podTerms(p.Child("podAffinity"), f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if f := a.PodAntiAffinity; f != nil {
		w.podTerms(p.Child("podAntiAffinity"), f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (w *warnings) nodeTerm(p *field.Path, t *corev1.NodeSelectorTerm) {
	for i, e := range t.MatchExpressions {
		w.label(p.Child("matchExpressions").Index(i).Child("key"), e.Key)
	}
}

func (w *warnings) podTerms(p *field.Path, hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm) {
	for i := range hard {
		if hard[i].LabelSelector == nil {
			w.add(p.Child(hardTerms).Index(i).Child("labelSelector"), nullSelector)
		}
	}
	for i := range soft {
		if soft[i].PodAffinityTerm.LabelSelector == nil {
			w.add(p.Child(softTerms).Index(i).Child("podAffinityTerm", "labelSelector"), nullSelector)
		}
	}
}

func (w *warnings) annotations(root *field.Path, annotations map[string]string, spec *corev1.PodSpec) {
	p := root.Child("metadata", "annotations")
	for _, d := range []struct{ key, text string }{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, ok := annotations[d.key]; ok {
			w.add(p.Key(d.key), "%s", d.text)
		}
	}
	seccomp := func(key string, said bool) {
		if _, ok := annotations[key]; ok && !said {
			w.add(p.Key(key), `non-functional in v1.27+; use the "seccompProfile" field instead`)
		}
	}
	seccomp(corev1.SeccompPodAnnotationKey, spec.SecurityContext != nil && spec.SecurityContext.SeccompProfile != nil)
	wholeAppArmor := spec.SecurityContext != nil && spec.SecurityContext.AppArmorProfile != nil
	eachContainer(root.Child("spec"), spec, func(_ *field.Path, c *corev1.Container) {
		seccomp(corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil)
		if root == nil || wholeAppArmor || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			return // of Pods, AppArmorWarnings speak
		}
		if key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name; annotations[key] != "" {
			w.add(p.Key(key), appArmorField)
		}
	})
}

func (w *warnings) volume(p *field.Path, v *corev1.Volume) {
	for _, d := range []struct {
		name, state string
		set         bool
	}{
		{"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+", v.PhotonPersistentDisk != nil},
		{"gitRepo", "deprecated in v1.11, and disabled by default in v1.33+", v.GitRepo != nil},
		{"scaleIO", "deprecated in v1.16, non-functional in v1.22+", v.ScaleIO != nil},
		{"flocker", "deprecated in v1.22, non-functional in v1.25+", v.Flocker != nil},
		{"storageOS", "deprecated in v1.22, non-functional in v1.25+", v.StorageOS != nil},
		{"quobyte", "deprecated in v1.22, non-functional in v1.25+", v.Quobyte != nil},
		{"glusterfs", "deprecated in v1.25, non-functional in v1.26+", v.Glusterfs != nil},
		{"cephfs", "deprecated in v1.28, non-functional in v1.31+", v.CephFS != nil},
		{"rbd", "deprecated in v1.28, non-functional in v1.31+", v.RBD != nil},
	} {
		if d.set {
			w.add(p.Child(d.name), "%s", d.state)
		}
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		at, r := p.Child("ephemeral", "volumeClaimTemplate", "spec", "resources"), v.Ephemeral.VolumeClaimTemplate.Spec.Resources
		w.fractions(at.Child("requests"), r.Requests, corev1.ResourceStorage)
		w.fractions(at.Child("limits"), r.Limits, corev1.ResourceStorage)
	}
}

// references warns of hosts and secrets that are named twice.
func (w *warnings) references(p *field.Path, spec *corev1.PodSpec) {
	for i, ns := range dnsServers(spec) {
		w.ip(p.Child("dnsConfig", "nameservers").Index(i), ns)
	}
	ips, secrets := names{}, names{}
	for i, a := range spec.HostAliases {
		at := p.Child("hostAliases").Index(i).Child("ip")
		w.ip(at, a.IP)
		if ips.take(a.IP) {
			w.add(at, "duplicate ip %q", a.IP)
		}
	}
	for i, s := range spec.ImagePullSecrets {
		at := p.Child("imagePullSecrets").Index(i).Child("name")
		if secrets.take(s.Name) {
			w.add(at, "duplicate name %q", s.Name)
		}
		if s.Name == "" {
			w.add(at, "invalid empty name %q", s.Name)
		}
	}
}

func dnsServers(spec *corev1.PodSpec) []string {
	if spec.DNSConfig == nil {
		return nil
	}
	return spec.DNSConfig.Nameservers
}

// ip warns of forms of an address that not every parser reads alike.
func (w *warnings) ip(p *field.Path, value string) {
	if len(address(p, value)) == 0 {
		*w = append(*w, validation.GetWarningsForIP(p, value)...)
	}
}

const fractional = "fractional byte value %q is invalid, must be an integer"

func (w *warnings) fractions(p *field.Path, list corev1.ResourceList, resources ...corev1.ResourceName) {
	for _, n := range resources {
		if q, ok := list[n]; ok && q.MilliValue()%perThousand != 0 {
			w.add(p.Key(string(n)), fractional, q.String())
		}
	}
}

// variables warns of a variable that hides one of the same name without being made from it.
func (w *warnings) variables(p *field.Path, vars []corev1.EnvVar) {
	taken := names{}
	for i, v := range vars {
		reference := "$(" + v.Name + ")"
		if taken.take(v.Name) && (v.ValueFrom != nil || v.Value == reference || !strings.Contains(v.Value, reference)) {
			w.add(p.Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
	}
}

// ports warns of ports of any containers that are the same, or could be.
func (w *warnings) ports(p *field.Path, spec *corev1.PodSpec) {
	type definition struct {
		at   *field.Path
		port corev1.ContainerPort
	}
	before, byName := map[string][]definition{}, map[string]*field.Path{}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		for i, port := range c.Ports {
			at := at.Child("ports").Index(i)
			if other, ok := byName[port.Name]; ok && port.Name != "" {
				w.add(at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", port.Name, other, other)
			} else {
				byName[port.Name] = at
			}
			if port.HostIP != "" && port.HostPort == 0 {
				w.add(at, "hostIP set without hostPort: %+v", port)
			}
			key := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
			for _, other := range before[key] {
				if how := overlap(&port, &other.port); how != "" {
					w.add(at, "%s port definition with %s", how, other.at)
				}
			}
			before[key] = append(before[key], definition{at, port})
		}
	})
}

// overlap says how two definitions of one port get in each other's way, or nothing.
func overlap(a, b *corev1.ContainerPort) string {
	switch {
	case a.HostIP == b.HostIP && a.HostPort == b.HostPort:
		return "duplicate"
	case a.HostPort == 0 || b.HostPort == 0:
		return "overlapping"
	case a.HostPort == b.HostPort && (a.HostIP == "") != (b.HostIP == ""):
		return "dangerously ambiguous"
	}
	return ""
}
