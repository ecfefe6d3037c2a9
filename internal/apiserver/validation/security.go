package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/node/util/sysctl"
)

const (
	maxSysctl          = 253
	maxAppArmorProfile = 4095
	sysctlPart         = `[a-z0-9]([-_a-z0-9]*[a-z0-9])?`
	sysctlName         = `^(` + sysctlPart + `[\./])*` + sysctlPart + `$`
)

// securityContext holds the rules of one container's security context.
func securityContext(p *field.Path, sc *corev1.SecurityContext, hostUsers bool) field.ErrorList {
	if sc == nil {
		return nil
	}
	errs := userID(p.Child("runAsUser"), sc.RunAsUser)
	errs = append(errs, groupID(p.Child("runAsGroup"), sc.RunAsGroup)...)
	errs = append(errs, seccomp(p.Child("seccompProfile"), sc.SeccompProfile)...)
	if m := sc.ProcMount; m != nil {
		at := p.Child("procMount")
		errs = append(errs, oneOf(at, *m, corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
		if hostUsers && *m == corev1.UnmaskedProcMount {
			errs = append(errs, field.Invalid(at, *m, "`hostUsers` must be false to use `Unmasked`"))
		}
	}
	errs = append(errs, escalation(p, sc)...)
	errs = append(errs, windowsOptions(p.Child("windowsOptions"), sc.WindowsOptions)...)
	return append(errs, appArmor(p.Child("appArmorProfile"), sc.AppArmorProfile)...)
}

// escalation refuses to deny privilege escalation to what is privileged already.
func escalation(p *field.Path, sc *corev1.SecurityContext) field.ErrorList {
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return nil
	}
	var errs field.ErrorList
	if sc.Privileged != nil && *sc.Privileged {
		errs = append(errs, field.Invalid(p, goNames(sc), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if sc.Capabilities != nil {
		for _, c := range sc.Capabilities.Add {
			if c == "CAP_SYS_ADMIN" {
				errs = append(errs, field.Invalid(p, goNames(sc), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
			}
		}
	}
	return errs
}

// podSecurityContext holds the rules of what a Pod's containers share.
func podSecurityContext(p *field.Path, spec *corev1.PodSpec, old *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace && spec.HostPID {
		errs = append(errs, field.Invalid(p.Child("shareProcessNamespace"), *spec.ShareProcessNamespace,
			"ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	sc := spec.SecurityContext
	if sc == nil {
		return errs
	}
	p = p.Child("securityContext")
	errs = append(errs, groupID(p.Child("fsGroup"), sc.FSGroup)...)
	errs = append(errs, userID(p.Child("runAsUser"), sc.RunAsUser)...)
	errs = append(errs, groupID(p.Child("runAsGroup"), sc.RunAsGroup)...)
	for i := range sc.SupplementalGroups {
		errs = append(errs, groupID(p.Child("supplementalGroups").Index(i), &sc.SupplementalGroups[i])...)
	}
	errs = append(errs, sysctls(p.Child("sysctls"), spec, old)...)
	if v := sc.FSGroupChangePolicy; v != nil {
		errs = append(errs, oneOf(p.Child("fsGroupChangePolicy"), *v, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	errs = append(errs, seccomp(p.Child("seccompProfile"), sc.SeccompProfile)...)
	errs = append(errs, windowsOptions(p.Child("windowsOptions"), sc.WindowsOptions)...)
	errs = append(errs, appArmor(p.Child("appArmorProfile"), sc.AppArmorProfile)...)
	if v := sc.SupplementalGroupsPolicy; v != nil {
		errs = append(errs, oneOf(p.Child("supplementalGroupsPolicy"), *v, corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	}
	if v := sc.SELinuxChangePolicy; v != nil {
		errs = append(errs, oneOf(p.Child("seLinuxChangePolicy"), *v, corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)...)
	}
	return errs
}

func sysctls(p *field.Path, spec, old *corev1.PodSpec) field.ErrorList {
	if len(spec.SecurityContext.Sysctls) == 0 {
		return nil // as with most Pods, whose creation the pattern would slow by a fiftieth
	}
	var errs field.ErrorList
	valid := regexp.MustCompile(sysctlName)
	taken := names{}
	for i, s := range spec.SecurityContext.Sysctls {
		at := p.Index(i).Child("name")
		switch {
		case s.Name == "":
			errs = append(errs, field.Required(at, ""))
		case len(s.Name) > maxSysctl || !valid.MatchString(s.Name):
			errs = append(errs, field.Invalid(at, s.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctl, sysctlName)))
		case taken.take(s.Name):
			errs = append(errs, field.Duplicate(at, s.Name))
		}
		if old == nil {
			errs = append(errs, hostSysctl(at, s.Name, spec)...)
		}
	}
	return errs
}

// hostSysctl refuses to set, from a Pod that shares the host's namespace, what would change the host.
func hostSysctl(p *field.Path, name string, spec *corev1.PodSpec) field.ErrorList {
	namespace, _, _ := sysctl.GetNamespace(name)
	switch {
	case spec.HostNetwork && namespace == sysctl.NetNamespace:
		return field.ErrorList{field.Invalid(p, name, "may not be specified when 'hostNetwork' is true")}
	case spec.HostIPC && namespace == sysctl.IPCNamespace:
		return field.ErrorList{field.Invalid(p, name, "may not be specified when 'hostIPC' is true")}
	}
	return nil
}

func seccomp(p *field.Path, s *corev1.SeccompProfile) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := field.ErrorList{field.Required(p.Child("type"), "type is required when seccompProfile is set")}
	if s.Type != "" {
		errs = oneOf(p.Child("type"), s.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	at := p.Child("localhostProfile")
	if s.Type != corev1.SeccompProfileTypeLocalhost {
		if s.LocalhostProfile != nil {
			errs = append(errs, field.Invalid(at, goNames(s), "can only be set when seccomp type is Localhost"))
		}
		return errs
	}
	if s.LocalhostProfile == nil {
		return append(errs, field.Required(at, "must be set when seccomp type is Localhost"))
	}
	return append(errs, descendingPath(at, *s.LocalhostProfile)...)
}

func appArmor(p *field.Path, a *corev1.AppArmorProfile) field.ErrorList {
	if a == nil {
		return nil
	}
	at := p.Child("localhostProfile")
	switch a.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		return appArmorFile(at, a.LocalhostProfile)
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if a.LocalhostProfile != nil {
			return field.ErrorList{field.Invalid(at, a.LocalhostProfile, "can only be set when AppArmor type is Localhost")}
		}
		return nil
	case "":
		return field.ErrorList{field.Required(p.Child("type"), "type is required when appArmorProfile is set")}
	}
	return oneOf(p.Child("type"), a.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
}

func appArmorFile(p *field.Path, profile *string) field.ErrorList {
	if profile == nil {
		return field.ErrorList{field.Required(p, "must be set when AppArmor type is Localhost")}
	}
	trimmed := strings.TrimSpace(*profile)
	switch {
	case trimmed == "":
		return field.ErrorList{field.Required(p, "must be set when AppArmor type is Localhost")}
	case trimmed != *profile:
		return field.ErrorList{field.Invalid(p, *profile, "must not be padded with whitespace")}
	case len(*profile) > maxAppArmorProfile:
		return field.ErrorList{field.TooLong(p, *profile, maxAppArmorProfile)}
	}
	return nil
}

// userNamespace refuses what cannot go with a user namespace of the Pod's own.
func userNamespace(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	if hostUsers(spec) {
		return nil
	}
	const reason = "when `hostUsers` is false"
	var errs field.ErrorList
	if spec.HostNetwork {
		errs = append(errs, field.Forbidden(p.Child("hostNetwork"), reason))
	}
	if spec.HostPID {
		errs = append(errs, field.Forbidden(p.Child("HostPID"), reason))
	}
	if spec.HostIPC {
		errs = append(errs, field.Forbidden(p.Child("HostIPC"), reason))
	}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		if len(c.VolumeDevices) > 0 {
			errs = append(errs, field.Forbidden(at.Child("volumeDevices"), reason))
		}
	})
	return errs
}
