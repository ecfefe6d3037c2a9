package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	notOnWindows = "cannot be set for a windows pod"
	notOnLinux   = "windows options cannot be set for a linux pod"

	maxGMSASpec  = 64 * 1024
	maxUserName  = 104
	maxDomain    = 256
	badUserChars = `"/\:;|=,+*?<>@[]`

	// The two forms of a Windows domain: 1 to 15 characters that do not begin with a dot, or DNS labels of either case.
	netBIOSDomain = `^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$`
	dnsDomain     = `^` + dnsDomainLabel + `(?:\.` + dnsDomainLabel + `)*$`

	dnsDomainLabel = `[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
)

// operatingSystem refuses the fields that mean nothing on the Pod's operating system.
func operatingSystem(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	if spec.OS == nil {
		return nil
	}
	at := p.Child("os")
	if spec.OS.Name == "" {
		return field.ErrorList{field.Required(at.Child("name"), "")}
	}
	switch spec.OS.Name {
	case corev1.Windows:
		return windowsPod(p, spec)
	case corev1.Linux:
		return linuxPod(p, spec)
	}
	return oneOf(at, spec.OS.Name, corev1.Linux, corev1.Windows)
}

func linuxPod(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.SecurityContext != nil && spec.SecurityContext.WindowsOptions != nil {
		errs = append(errs, field.Forbidden(p.Child("securityContext", "windowsOptions"), notOnLinux))
	}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			errs = append(errs, field.Forbidden(at.Child("securityContext", "windowsOptions"), notOnLinux))
		}
	})
	return errs
}

func windowsPod(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	refuse := func(at *field.Path, set bool) {
		if set {
			errs = append(errs, field.Forbidden(at, notOnWindows))
		}
	}
	refuse(p.Child("hostPID"), spec.HostPID)
	refuse(p.Child("hostIPC"), spec.HostIPC)
	refuse(p.Child("hostUsers"), spec.HostUsers != nil)
	refuse(p.Child("shareProcessNamespace"), spec.ShareProcessNamespace != nil)
	if sc := spec.SecurityContext; sc != nil {
		at := p.Child("securityContext")
		refuse(at.Child("appArmorProfile"), sc.AppArmorProfile != nil)
		refuse(at.Child("seLinuxOptions"), sc.SELinuxOptions != nil)
		refuse(at.Child("seccompProfile"), sc.SeccompProfile != nil)
		refuse(at.Child("fsGroup"), sc.FSGroup != nil)
		refuse(at.Child("fsGroupChangePolicy"), sc.FSGroupChangePolicy != nil)
		refuse(at.Child("sysctls"), len(sc.Sysctls) > 0)
		refuse(at.Child("runAsUser"), sc.RunAsUser != nil)
		refuse(at.Child("runAsGroup"), sc.RunAsGroup != nil)
		refuse(at.Child("supplementalGroups"), sc.SupplementalGroups != nil)
		refuse(at.Child("supplementalGroupsPolicy"), sc.SupplementalGroupsPolicy != nil)
		refuse(at.Child("seLinuxChangePolicy"), sc.SELinuxChangePolicy != nil)
	}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		if sc := c.SecurityContext; sc != nil {
			at := at.Child("securityContext")
			refuse(at.Child("appArmorProfile"), sc.AppArmorProfile != nil)
			refuse(at.Child("seLinuxOptions"), sc.SELinuxOptions != nil)
			refuse(at.Child("seccompProfile"), sc.SeccompProfile != nil)
			refuse(at.Child("capabilities"), sc.Capabilities != nil)
			refuse(at.Child("readOnlyRootFilesystem"), sc.ReadOnlyRootFilesystem != nil)
			refuse(at.Child("privileged"), sc.Privileged != nil)
			refuse(at.Child("allowPrivilegeEscalation"), sc.AllowPrivilegeEscalation != nil)
			refuse(at.Child("procMount"), sc.ProcMount != nil)
			refuse(at.Child("runAsUser"), sc.RunAsUser != nil)
			refuse(at.Child("runAsGroup"), sc.RunAsGroup != nil)
		}
	})
	return errs
}

// eachContainer visits every container of a Pod, whatever its kind.
func eachContainer(p *field.Path, spec *corev1.PodSpec, visit func(*field.Path, *corev1.Container)) {
	for i := range spec.Containers {
		visit(p.Child("containers").Index(i), &spec.Containers[i])
	}
	for i := range spec.InitContainers {
		visit(p.Child("initContainers").Index(i), &spec.InitContainers[i])
	}
	for i := range spec.EphemeralContainers {
		plain := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		visit(p.Child("ephemeralContainers").Index(i), &plain)
	}
}

// windowsOptions holds the rules of the options that only Windows knows.
func windowsOptions(p *field.Path, o *corev1.WindowsSecurityContextOptions) field.ErrorList {
	if o == nil {
		return nil
	}
	var errs field.ErrorList
	if n := o.GMSACredentialSpecName; n != nil {
		errs = append(errs, dnsSubdomain(p.Child("gmsaCredentialSpecName"), *n)...)
	}
	if s := o.GMSACredentialSpec; s != nil {
		at := p.Child("gmsaCredentialSpec")
		if len(*s) == 0 {
			errs = append(errs, field.Invalid(at, *s, "gmsaCredentialSpec cannot be an empty string"))
		} else if len(*s) > maxGMSASpec {
			errs = append(errs, field.Invalid(at, *s, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxGMSASpec/1024)))
		}
	}
	if n := o.RunAsUserName; n != nil {
		errs = append(errs, windowsUser(p.Child("runAsUserName"), *n)...)
	}
	return errs
}

// windowsUser wants DOMAIN\user or user, in the lengths and characters that Windows allows.
func windowsUser(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Invalid(p, name, "runAsUserName cannot be an empty string")}
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return field.ErrorList{field.Invalid(p, name, "runAsUserName cannot contain control characters")}
	}
	domain, user, ok := strings.Cut(name, `\`)
	if !ok {
		domain, user = "", name
	}
	if strings.Contains(user, `\`) {
		return field.ErrorList{field.Invalid(p, name, "runAsUserName cannot contain more than one backslash")}
	}
	var errs field.ErrorList
	if len(domain) >= maxDomain {
		errs = append(errs, field.Invalid(p, name, fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxDomain)))
	}
	if ok && !regexp.MustCompile(netBIOSDomain).MatchString(domain) && !regexp.MustCompile(dnsDomain).MatchString(domain) {
		errs = append(errs, field.Invalid(p, name, "runAsUserName's Domain doesn't match the NetBios nor the DNS format"))
	}
	switch {
	case user == "":
		errs = append(errs, field.Invalid(p, name, "runAsUserName's User cannot be empty"))
	case len(user) > maxUserName:
		errs = append(errs, field.Invalid(p, name, fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxUserName)))
	case strings.Trim(user, " .") == "":
		errs = append(errs, field.Invalid(p, name, "runAsUserName's User cannot contain only periods or spaces"))
	case strings.ContainsAny(user, badUserChars):
		errs = append(errs, field.Invalid(p, name, fmt.Sprintf("runAsUserName's User cannot contain the following characters: %s", badUserChars)))
	}
	return errs
}

// hostProcess wants a Pod with host-process containers to be made of nothing else, on the host's network.
func hostProcess(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	whole := spec.SecurityContext != nil && spec.SecurityContext.WindowsOptions != nil && isTrue(spec.SecurityContext.WindowsOptions.HostProcess)
	given := spec.SecurityContext != nil && spec.SecurityContext.WindowsOptions != nil && spec.SecurityContext.WindowsOptions.HostProcess != nil
	var errs field.ErrorList
	hosts, others := 0, 0
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		own := whole
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil && c.SecurityContext.WindowsOptions.HostProcess != nil {
			own = *c.SecurityContext.WindowsOptions.HostProcess
			if given && own != whole {
				errs = append(errs, field.Invalid(at.Child("securityContext", "windowsOptions", "hostProcess"), own,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", whole)))
			}
		}
		if own {
			hosts++
		} else {
			others++
		}
	})
	if hosts == 0 {
		return errs
	}
	if others > 0 {
		errs = append(errs, field.Invalid(p, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !spec.HostNetwork {
		errs = append(errs, field.Invalid(p.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	return errs
}

func isTrue(b *bool) bool { return b != nil && *b }
