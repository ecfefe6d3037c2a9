// Package security merges a Pod's and a container's security context into what the CRI takes, and checks
// runAsNonRoot against the image's user.
package security

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Effective merges the two contexts: what the container sets wins. It is never nil.
func Effective(pod *corev1.Pod, c *corev1.Container) *corev1.SecurityContext {
	out := &corev1.SecurityContext{}
	if own := c.SecurityContext; own != nil {
		out = own.DeepCopy()
	}
	base := pod.Spec.SecurityContext
	if base == nil {
		return out
	}
	inherit(&out.RunAsUser, base.RunAsUser)
	inherit(&out.RunAsGroup, base.RunAsGroup)
	inherit(&out.RunAsNonRoot, base.RunAsNonRoot)
	inherit(&out.SELinuxOptions, base.SELinuxOptions)
	inherit(&out.SeccompProfile, base.SeccompProfile)
	inherit(&out.AppArmorProfile, base.AppArmorProfile)
	return out
}

func inherit[T any](own **T, base *T) {
	if *own == nil {
		*own = base
	}
}

// Container returns the CRI form for a container. groups are the supplemental groups that volumes add.
func Container(pod *corev1.Pod, c *corev1.Container, namespaces *runtimev1.NamespaceOption, groups []int64) *runtimev1.LinuxContainerSecurityContext {
	merged := Effective(pod, c)
	out := &runtimev1.LinuxContainerSecurityContext{
		Privileged:               isTrue(merged.Privileged),
		NamespaceOptions:         namespaces,
		ReadonlyRootfs:           isTrue(merged.ReadOnlyRootFilesystem),
		NoNewPrivs:               noNewPrivs(merged),
		RunAsUser:                number(merged.RunAsUser),
		RunAsGroup:               number(merged.RunAsGroup),
		SelinuxOptions:           selinux(merged.SELinuxOptions),
		Seccomp:                  seccomp(merged),
		Apparmor:                 apparmor(merged.AppArmorProfile),
		SupplementalGroups:       Groups(pod, groups),
		SupplementalGroupsPolicy: groupsPolicy(pod),
	}
	if caps := merged.Capabilities; caps != nil {
		out.Capabilities = &runtimev1.Capability{AddCapabilities: names(caps.Add), DropCapabilities: names(caps.Drop)}
	}
	if merged.ProcMount == nil || *merged.ProcMount != corev1.UnmaskedProcMount {
		out.MaskedPaths, out.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	return out
}

// Sandbox returns the CRI form for the Pod's sandbox.
func Sandbox(pod *corev1.Pod, namespaces *runtimev1.NamespaceOption, groups []int64) *runtimev1.LinuxSandboxSecurityContext {
	out := &runtimev1.LinuxSandboxSecurityContext{
		NamespaceOptions:         namespaces,
		Privileged:               anyPrivileged(pod),
		Seccomp:                  &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault},
		SupplementalGroups:       Groups(pod, groups),
		SupplementalGroupsPolicy: groupsPolicy(pod),
	}
	if sc := pod.Spec.SecurityContext; sc != nil {
		out.RunAsUser, out.RunAsGroup, out.SelinuxOptions = number(sc.RunAsUser), number(sc.RunAsGroup), selinux(sc.SELinuxOptions)
	}
	return out
}

func anyPrivileged(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			if c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged) {
				return true
			}
		}
	}
	return false
}

// Groups are the Pod's supplemental groups, its fsGroup and extra ones, each once.
func Groups(pod *corev1.Pod, extra []int64) []int64 {
	var list []int64
	if sc := pod.Spec.SecurityContext; sc != nil {
		list = append(list, sc.SupplementalGroups...)
		if sc.FSGroup != nil {
			list = append(list, *sc.FSGroup)
		}
	}
	seen := map[int64]bool{}
	var out []int64
	for _, g := range append(list, extra...) {
		if !seen[g] {
			seen[g] = true
			out = append(out, g)
		}
	}
	return out
}

func groupsPolicy(pod *corev1.Pod) runtimev1.SupplementalGroupsPolicy {
	if sc := pod.Spec.SecurityContext; sc != nil && sc.SupplementalGroupsPolicy != nil && *sc.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict {
		return runtimev1.SupplementalGroupsPolicy_Strict
	}
	return runtimev1.SupplementalGroupsPolicy_Merge
}

// noNewPrivs follows allowPrivilegeEscalation; not set means that escalation is allowed.
func noNewPrivs(sc *corev1.SecurityContext) bool {
	return sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation
}

// seccomp is RuntimeDefault unless something else is asked or the container is privileged.
func seccomp(sc *corev1.SecurityContext) *runtimev1.SecurityProfile {
	profile := &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
	if isTrue(sc.Privileged) {
		profile.ProfileType = runtimev1.SecurityProfile_Unconfined
	}
	if p := sc.SeccompProfile; p != nil {
		profile.ProfileType = profileType(string(p.Type))
		if p.LocalhostProfile != nil {
			profile.LocalhostRef = *p.LocalhostProfile
		}
	}
	return profile
}

func apparmor(p *corev1.AppArmorProfile) *runtimev1.SecurityProfile {
	if p == nil {
		return nil
	}
	profile := &runtimev1.SecurityProfile{ProfileType: profileType(string(p.Type))}
	if p.LocalhostProfile != nil {
		profile.LocalhostRef = *p.LocalhostProfile
	}
	return profile
}

func profileType(name string) runtimev1.SecurityProfile_ProfileType {
	switch name {
	case string(corev1.SeccompProfileTypeUnconfined):
		return runtimev1.SecurityProfile_Unconfined
	case string(corev1.SeccompProfileTypeLocalhost):
		return runtimev1.SecurityProfile_Localhost
	}
	return runtimev1.SecurityProfile_RuntimeDefault
}

func number(v *int64) *runtimev1.Int64Value {
	if v == nil {
		return nil
	}
	return &runtimev1.Int64Value{Value: *v}
}

func names(list []corev1.Capability) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = string(c)
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }

// VerifyNonRoot tells why a container that must not run as root would, given the image's numeric user (nil if the
// image does not name one) and its user name.
func VerifyNonRoot(pod *corev1.Pod, c *corev1.Container, uid *int64, username string) error {
	merged := Effective(pod, c)
	if !isTrue(merged.RunAsNonRoot) {
		return nil
	}
	who := fmt.Sprintf(`(pod: "%s_%s(%s)", container: %s)`, pod.Name, pod.Namespace, pod.UID, c.Name)
	switch {
	case merged.RunAsUser != nil && *merged.RunAsUser == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", who)
	case merged.RunAsUser != nil:
		return nil
	case uid != nil && *uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", who)
	case uid == nil && username != "":
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", username, who)
	case uid == nil:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", who)
	}
	return nil
}
