package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mounts holds the rules of a container's volume mounts.
func (c *podContext) mounts(p *field.Path, ctr *corev1.Container) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	deviceNames, devicePaths := names{}, names{}
	for _, d := range ctr.VolumeDevices {
		deviceNames.take(d.Name)
		devicePaths.take(d.DevicePath)
	}
	for i, m := range ctr.VolumeMounts {
		at := p.Index(i)
		errs = append(errs, required(at.Child("name"), m.Name)...)
		if _, ok := c.volumes[m.Name]; !ok {
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		errs = append(errs, required(at.Child("mountPath"), m.MountPath)...)
		if taken.take(m.MountPath) {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, mustBeUnique))
		}
		if deviceNames[m.Name] {
			errs = append(errs, field.Invalid(at.Child("name"), m.Name, "must not already exist in volumeDevices"))
		}
		if devicePaths[m.MountPath] {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices"))
		}
		errs = append(errs, subPaths(p, at, &m)...)
		errs = append(errs, propagation(p.Child("mountPropagation"), m.MountPropagation, ctr.SecurityContext)...)
		errs = append(errs, recursiveReadOnly(p.Child("recursiveReadOnly"), &m)...)
	}
	return errs
}

// subPaths reports a bad path at the list, as upstream does, and a contradiction at the mount.
func subPaths(list, at *field.Path, m *corev1.VolumeMount) field.ErrorList {
	var errs field.ErrorList
	if m.SubPath != "" {
		errs = append(errs, descendingPath(list.Child("subPath"), m.SubPath)...)
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, descendingPath(list.Child("subPathExpr"), m.SubPathExpr)...)
	}
	return errs
}

func propagation(p *field.Path, mode *corev1.MountPropagationMode, sc *corev1.SecurityContext) field.ErrorList {
	if mode == nil {
		return nil
	}
	errs := oneOf(p, *mode, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	privileged := sc != nil && sc.Privileged != nil && *sc.Privileged
	if *mode == corev1.MountPropagationBidirectional && !privileged {
		errs = append(errs, field.Forbidden(p, "Bidirectional mount propagation is available only to privileged containers"))
	}
	return errs
}

func recursiveReadOnly(p *field.Path, m *corev1.VolumeMount) field.ErrorList {
	if m.RecursiveReadOnly == nil {
		return nil
	}
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyDisabled:
		return nil
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		var errs field.ErrorList
		if !m.ReadOnly {
			errs = append(errs, field.Forbidden(p, "may only be specified when readOnly is true"))
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			errs = append(errs, field.Forbidden(p, "may only be specified when mountPropagation is None or not specified"))
		}
		return errs
	}
	return oneOf(p, *m.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
}

// devices holds the rules of a container's block devices.
func (c *podContext) devices(p *field.Path, ctr *corev1.Container) field.ErrorList {
	var errs field.ErrorList
	takenPaths, takenNames := names{}, names{}
	mountNames, mountPaths := names{}, names{}
	for _, m := range ctr.VolumeMounts {
		mountNames.take(m.Name)
		mountPaths.take(m.MountPath)
	}
	for i, d := range ctr.VolumeDevices {
		at := p.Index(i)
		errs = append(errs, c.deviceSource(at.Child("name"), d.Name)...)
		path, name := at.Child("devicePath"), at.Child("name")
		errs = append(errs, required(path, d.DevicePath)...)
		if takenPaths.take(d.DevicePath) {
			errs = append(errs, field.Invalid(path, d.DevicePath, mustBeUnique))
		}
		if len(noBacksteps(path, d.DevicePath)) > 0 {
			errs = append(errs, field.Invalid(path, d.DevicePath, "can not contain backsteps ('..')"))
		}
		if d.Name != "" && takenNames.take(d.Name) {
			errs = append(errs, field.Invalid(name, d.Name, mustBeUnique))
		}
		if mountPaths[d.DevicePath] {
			errs = append(errs, field.Invalid(path, d.DevicePath, "must not already exist as a path in volumeMounts"))
		}
		if mountNames[d.Name] {
			errs = append(errs, field.Invalid(name, d.Name, "must not already exist in volumeMounts"))
		}
	}
	return errs
}

func (c *podContext) deviceSource(p *field.Path, name string) field.ErrorList {
	errs := required(p, name)
	source, ok := c.volumes[name]
	if !ok {
		return append(errs, field.NotFound(p, name))
	}
	if source.PersistentVolumeClaim == nil && source.Ephemeral == nil {
		return append(errs, field.Invalid(p, name,
			"can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
	}
	return errs
}
