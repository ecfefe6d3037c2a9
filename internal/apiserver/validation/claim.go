package validation

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// claimTemplate holds the rules of the claim that an ephemeral volume makes.
func claimTemplate(p *field.Path, v *corev1.EphemeralVolumeSource) field.ErrorList {
	at := p.Child("volumeClaimTemplate")
	if v.VolumeClaimTemplate == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := claimTemplateMeta(at.Child("metadata"), &v.VolumeClaimTemplate.ObjectMeta)
	return append(errs, claimSpec(at.Child("spec"), &v.VolumeClaimTemplate.Spec)...)
}

// claimTemplateMeta allows labels and annotations alone.
func claimTemplateMeta(p *field.Path, meta *metav1.ObjectMeta) field.ErrorList {
	errs := apivalidation.ValidateAnnotations(meta.Annotations, p.Child("annotations"))
	errs = append(errs, metavalidation.ValidateLabels(meta.Labels, p.Child("labels"))...)
	value := reflect.ValueOf(*meta)
	for i := range value.NumField() {
		name := value.Type().Field(i).Name
		if name == "Labels" || name == "Annotations" || value.Field(i).IsZero() {
			continue
		}
		errs = append(errs, field.Forbidden(p.Child(strings.ToLower(name[:1])+name[1:]), "cannot be set"))
	}
	return errs
}

// claimSpec holds the rules of a PersistentVolumeClaim's spec.
func claimSpec(p *field.Path, s *corev1.PersistentVolumeClaimSpec) field.ErrorList {
	var errs field.ErrorList
	modes := p.Child("accessModes")
	if len(s.AccessModes) == 0 {
		errs = append(errs, field.Required(modes, "at least 1 access mode is required"))
	}
	for _, mode := range s.AccessModes {
		errs = append(errs, oneOf(modes, mode, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
	}
	shared := slices.ContainsFunc(s.AccessModes, func(mode corev1.PersistentVolumeAccessMode) bool {
		return mode == corev1.ReadOnlyMany || mode == corev1.ReadWriteMany || mode == corev1.ReadWriteOnce
	})
	if shared && slices.Contains(s.AccessModes, corev1.ReadWriteOncePod) {
		errs = append(errs, field.Forbidden(modes, "may not use ReadWriteOncePod with other access modes"))
	}
	if s.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, p.Child("selector"))...)
	}
	at := p.Child("resources").Key(string(corev1.ResourceStorage))
	if q, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		errs = append(errs, field.Required(at, ""))
	} else if q.Sign() <= 0 {
		errs = append(errs, field.Invalid(at, q.String(), "must be greater than zero"))
	}
	if name := s.StorageClassName; name != nil && *name != "" {
		errs = append(errs, dnsSubdomain(p.Child("storageClassName"), *name)...)
	}
	if s.VolumeMode != nil {
		errs = append(errs, oneOf(p.Child("volumeMode"), *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	}
	if name := s.VolumeAttributesClassName; name != nil && *name != "" {
		errs = append(errs, dnsSubdomain(p.Child("volumeAttributesClassName"), *name)...)
	}
	return append(errs, claimDataSource(p, s)...)
}

func claimDataSource(p *field.Path, s *corev1.PersistentVolumeClaimSpec) field.ErrorList {
	var errs field.ErrorList
	if d := s.DataSource; d != nil {
		errs = append(errs, dataSource(p.Child("dataSource"), d.APIGroup, d.Kind, d.Name)...)
	}
	ref := s.DataSourceRef
	if ref == nil {
		return errs
	}
	at := p.Child("dataSourceRef")
	errs = append(errs, dataSource(at, ref.APIGroup, ref.Kind, ref.Name)...)
	foreign := ref.Namespace != nil && *ref.Namespace != ""
	if foreign {
		errs = append(errs, dnsLabel(at.Child("namespace"), *ref.Namespace)...)
	}
	switch {
	case s.DataSource == nil:
	case foreign:
		errs = append(errs, field.Invalid(p, p.Child("dataSource").String(), "may not be specified when dataSourceRef.namespace is specified"))
	case !reflect.DeepEqual(s.DataSource.APIGroup, ref.APIGroup), s.DataSource.Kind != ref.Kind, s.DataSource.Name != ref.Name:
		errs = append(errs, field.Invalid(p, p.Child("dataSource").String(), "must match dataSourceRef"))
	}
	return errs
}

func dataSource(p *field.Path, group *string, kind, name string) field.ErrorList {
	errs := must("name", name, "kind", kind)(p)
	if (group == nil || *group == "") && kind != "PersistentVolumeClaim" {
		errs = append(errs, field.Invalid(p, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
	}
	if group != nil && *group != "" {
		errs = append(errs, dnsSubdomain(p.Child("apiGroup"), *group)...)
	}
	return errs
}
