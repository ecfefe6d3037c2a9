package validation

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podContext is what the rules of one container need to know about its Pod.
type podContext struct {
	spec    *corev1.PodSpec
	volumes map[string]corev1.VolumeSource // the valid ones, by name
	claims  names
	// template is true for the spec of a Pod template, which is no Pod yet.
	template bool
	// old is what an update starts from; nil at a creation.
	old *corev1.PodSpec
}

// containers holds the rules of the regular containers.
func (c *podContext) containers(p *field.Path) field.ErrorList {
	list := c.spec.Containers
	if len(list) == 0 {
		return field.ErrorList{field.Required(p, "")}
	}
	var errs field.ErrorList
	taken := names{}
	for i := range list {
		ctr, at := &list[i], p.Index(i)
		errs = append(errs, c.container(at, ctr)...)
		if taken.take(ctr.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), ctr.Name))
		}
		errs = append(errs, lifecycle(at.Child("lifecycle"), ctr.Lifecycle, c.spec.TerminationGracePeriodSeconds)...)
		errs = append(errs, probes(at, ctr, c.spec.TerminationGracePeriodSeconds)...)
		errs = append(errs, restartRules(at, ctr.RestartPolicy, ctr.RestartPolicyRules)...)
	}
	return append(errs, hostPortConflicts(p, list)...)
}

// initContainers holds the rules of the init containers, those that keep running (restartPolicy Always) included.
func (c *podContext) initContainers(p *field.Path) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i := range c.spec.Containers {
		taken.take(c.spec.Containers[i].Name)
	}
	for i := range c.spec.InitContainers {
		ctr, at := &c.spec.InitContainers[i], p.Index(i)
		errs = append(errs, c.container(at, ctr)...)
		errs = append(errs, initRestartRules(at, ctr.RestartPolicy, ctr.RestartPolicyRules)...)
		if len(ctr.Name) > 0 && taken.take(ctr.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), ctr.Name))
		}
		errs = append(errs, hostPortConflicts(p, []corev1.Container{*ctr})...)
		if isSidecar(ctr) {
			errs = append(errs, lifecycle(at.Child("lifecycle"), ctr.Lifecycle, c.spec.TerminationGracePeriodSeconds)...)
			errs = append(errs, probes(at, ctr, c.spec.TerminationGracePeriodSeconds)...)
			continue
		}
		errs = append(errs, onlySidecars(at, ctr)...)
		if !c.initMayRestartOnResize() {
			errs = append(errs, noRestartOnResize(at.Child("resizePolicy"), ctr.ResizePolicy)...)
		}
	}
	return errs
}

// initMayRestartOnResize tolerates, in an update, what was accepted before Kubernetes 1.36.
func (c *podContext) initMayRestartOnResize() bool {
	return c.old != nil && slices.ContainsFunc(c.old.InitContainers, func(ctr corev1.Container) bool {
		return !isSidecar(&ctr) && len(noRestartOnResize(nil, ctr.ResizePolicy)) > 0
	})
}

// onlySidecars refuses what an init container that runs to its end cannot have.
func onlySidecars(at *field.Path, ctr *corev1.Container) field.ErrorList {
	var errs field.ErrorList
	for name, set := range map[string]bool{
		"lifecycle":      ctr.Lifecycle != nil,
		"livenessProbe":  ctr.LivenessProbe != nil,
		"readinessProbe": ctr.ReadinessProbe != nil,
		"startupProbe":   ctr.StartupProbe != nil,
	} {
		if set {
			errs = append(errs, field.Forbidden(at.Child(name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}

// ephemeralContainers holds the rules of the ephemeral containers.
func (c *podContext) ephemeralContainers(p *field.Path) field.ErrorList {
	if len(c.spec.EphemeralContainers) == 0 {
		return nil
	}
	var errs field.ErrorList
	targets, taken := names{}, names{}
	for _, list := range [][]corev1.Container{c.spec.Containers, c.spec.InitContainers} {
		for i := range list {
			targets.take(list[i].Name)
			taken.take(list[i].Name)
		}
	}
	for i := range c.spec.EphemeralContainers {
		ec, at := &c.spec.EphemeralContainers[i], p.Index(i)
		plain := corev1.Container(ec.EphemeralContainerCommon)
		errs = append(errs, c.container(at, &plain)...)
		if taken.take(ec.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), ec.Name))
		}
		if t := ec.TargetContainerName; t != "" && !targets[t] {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), t))
		}
		errs = append(errs, onlyEphemeral(at, &ec.EphemeralContainerCommon)...)
	}
	return errs
}

// ephemeralFields are the fields that an ephemeral container may have; anything that the type ever gains is refused
// until it is listed here.
func ephemeralFields() names {
	return names{
		"Name": true, "Image": true, "Command": true, "Args": true, "WorkingDir": true, "EnvFrom": true, "Env": true,
		"VolumeMounts": true, "VolumeDevices": true, "TerminationMessagePath": true, "TerminationMessagePolicy": true,
		"ImagePullPolicy": true, "SecurityContext": true, "Stdin": true, "StdinOnce": true, "TTY": true,
	}
}

func onlyEphemeral(at *field.Path, ec *corev1.EphemeralContainerCommon) field.ErrorList {
	var errs field.ErrorList
	allowed := ephemeralFields()
	value := reflect.ValueOf(ec).Elem()
	for i := range value.NumField() {
		f := value.Type().Field(i)
		if !allowed[f.Name] && !value.Field(i).IsZero() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			errs = append(errs, field.Forbidden(at.Child(name), notInEphemeral))
		}
	}
	for i, m := range ec.VolumeMounts {
		mount := at.Child("volumeMounts").Index(i)
		if m.SubPath != "" {
			errs = append(errs, field.Forbidden(mount.Child("subPath"), notInEphemeral))
		}
		if m.SubPathExpr != "" {
			errs = append(errs, field.Forbidden(mount.Child("subPathExpr"), notInEphemeral))
		}
	}
	return errs
}

// container holds the rules that every kind of container keeps.
func (c *podContext) container(p *field.Path, ctr *corev1.Container) field.ErrorList {
	errs := requiredLabel(p.Child("name"), ctr.Name)
	errs = append(errs, image(p.Child("image"), ctr.Image, c.template)...)
	errs = append(errs, requiredOneOf(p.Child("terminationMessagePolicy"), ctr.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, ports(p.Child("ports"), ctr.Ports)...)
	errs = append(errs, environment(p.Child("env"), ctr.Env)...)
	errs = append(errs, environmentFrom(p.Child("envFrom"), ctr.EnvFrom)...)
	errs = append(errs, c.mounts(p.Child("volumeMounts"), ctr)...)
	errs = append(errs, c.devices(p.Child("volumeDevices"), ctr)...)
	errs = append(errs, pullPolicy(p.Child("imagePullPolicy"), ctr.ImagePullPolicy)...)
	errs = append(errs, containerResources(p.Child("resources"), &ctr.Resources, c.claims)...)
	errs = append(errs, resizePolicy(p.Child("resizePolicy"), ctr, c.spec.RestartPolicy)...)
	return append(errs, securityContext(p.Child("securityContext"), ctr.SecurityContext, hostUsers(c.spec))...)
}

// image wants a reference, and in a Pod one without white space around it; templates were never held to that.
func image(p *field.Path, ref string, template bool) field.ErrorList {
	if ref == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	if !template && strings.TrimSpace(ref) != ref {
		return field.ErrorList{field.Invalid(p, ref, "must not have leading or trailing whitespace")}
	}
	return nil
}

// isSidecar tells an init container that keeps running beside the regular ones.
func isSidecar(ctr *corev1.Container) bool {
	return ctr.RestartPolicy != nil && *ctr.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// hostUsers says whether the Pod runs in the host's user namespace.
func hostUsers(spec *corev1.PodSpec) bool {
	return spec.HostUsers == nil || *spec.HostUsers
}
