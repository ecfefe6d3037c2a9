package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func environment(p *field.Path, vars []corev1.EnvVar) field.ErrorList {
	var errs field.ErrorList
	for i := range vars {
		at := p.Index(i)
		if vars[i].Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), vars[i].Name, validation.IsRelaxedEnvVarName(vars[i].Name))...)
		}
		errs = append(errs, valueFrom(at.Child("valueFrom"), &vars[i])...)
	}
	return errs
}

func valueFrom(p *field.Path, v *corev1.EnvVar) field.ErrorList {
	from := v.ValueFrom
	if from == nil {
		return nil
	}
	var errs field.ErrorList
	sources := 0
	if from.FieldRef != nil {
		sources++
		errs = append(errs, fieldSelector(p.Child("fieldRef"), from.FieldRef, envFields())...)
	}
	if from.ResourceFieldRef != nil {
		sources++
		errs = append(errs, resourceSelector(p.Child("resourceFieldRef"), from.ResourceFieldRef, false)...)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		sources++
		errs = append(errs, keySelector(p.Child("configMapKeyRef"), r.Name, r.Key)...)
	}
	if r := from.SecretKeyRef; r != nil {
		sources++
		errs = append(errs, keySelector(p.Child("secretKeyRef"), r.Name, r.Key)...)
	}
	if from.FileKeyRef != nil {
		sources++
		errs = append(errs, fileKeySelector(p.Child("fileKeyRef"), from.FileKeyRef)...)
	}
	switch {
	case sources == 0:
		return append(errs, field.Invalid(p, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		return append(errs, field.Invalid(p, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		return append(errs, field.Invalid(p, "", moreThanOneField))
	}
	return errs
}

func keySelector(p *field.Path, name, key string) field.ErrorList {
	errs := invalid(p.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, false))
	if key == "" {
		return append(errs, field.Required(p.Child("key"), ""))
	}
	return append(errs, invalid(p.Child("key"), key, validation.IsConfigMapKey(key))...)
}

func fileKeySelector(p *field.Path, f *corev1.FileKeySelector) field.ErrorList {
	errs := requiredLabel(p.Child("volumeName"), f.VolumeName)
	errs = append(errs, required(p.Child("path"), f.Path)...)
	errs = append(errs, noBacksteps(p.Child("path"), f.Path)...)
	if f.Key == "" {
		return append(errs, field.Required(p.Child("key"), ""))
	}
	return append(errs, invalid(p.Child("key"), f.Key, validation.IsRelaxedEnvVarName(f.Key))...)
}

// envFiles wants each file that a variable comes from to lie on an emptyDir of the Pod.
func envFiles(p *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	emptyDirs := map[string]bool{}
	for i := range spec.Volumes {
		emptyDirs[spec.Volumes[i].Name] = spec.Volumes[i].EmptyDir != nil
	}
	eachContainer(p, spec, func(at *field.Path, c *corev1.Container) {
		for i := range c.Env {
			if c.Env[i].ValueFrom == nil || c.Env[i].ValueFrom.FileKeyRef == nil {
				continue
			}
			name := c.Env[i].ValueFrom.FileKeyRef.VolumeName
			at := at.Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			if isEmptyDir, ok := emptyDirs[name]; !ok {
				errs = append(errs, field.NotFound(at, name))
			} else if !isEmptyDir {
				errs = append(errs, field.Invalid(at, name, "referenced volume must be of type emptyDir"))
			}
		}
	})
	return errs
}

func environmentFrom(p *field.Path, list []corev1.EnvFromSource) field.ErrorList {
	var errs field.ErrorList
	for i, from := range list {
		at := p.Index(i)
		if from.Prefix != "" {
			errs = append(errs, invalid(at.Child("prefix"), from.Prefix, validation.IsRelaxedEnvVarName(from.Prefix))...)
		}
		sources := 0
		if from.ConfigMapRef != nil {
			sources++
			errs = append(errs, sourceName(at.Child("configMapRef", "name"), from.ConfigMapRef.Name)...)
		}
		if from.SecretRef != nil {
			sources++
			errs = append(errs, sourceName(at.Child("secretRef", "name"), from.SecretRef.Name)...)
		}
		if sources == 0 {
			errs = append(errs, field.Invalid(p, "", "must specify one of: `configMapRef` or `secretRef`"))
		} else if sources > 1 {
			errs = append(errs, field.Invalid(p, "", moreThanOneField))
		}
	}
	return errs
}

// sourceName allows the end of a name to be missing, which upstream does by accident and clients may rely on.
func sourceName(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return invalid(p, name, apivalidation.NameIsDNSSubdomain(name, true))
}

// envFields are the fields of a Pod that a variable can hold.
func envFields() []string {
	return []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
}

// volumeFields are the fields of a Pod that a file of a downward volume can hold.
func volumeFields() []string {
	return []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
}

// knownFields are the labels of Pod fields that the API of version v1 can name at all.
func knownFields() names {
	return names{
		"metadata.annotations": true, "metadata.labels": true, "metadata.name": true, "metadata.namespace": true,
		"metadata.uid": true, "spec.nodeName": true, "spec.restartPolicy": true, "spec.serviceAccountName": true,
		"spec.schedulerName": true, "spec.terminationGracePeriodSeconds": true, "status.phase": true, "status.hostIP": true, "status.hostIPs": true,
		"status.podIP": true, "status.podIPs": true,
	}
}

func fieldSelector(p *field.Path, f *corev1.ObjectFieldSelector, allowed []string) field.ErrorList {
	if f.APIVersion == "" {
		return field.ErrorList{field.Required(p.Child("apiVersion"), "")}
	}
	at := p.Child("fieldPath")
	if f.FieldPath == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	label, key, subscripted := subscript(f.FieldPath)
	if label == "spec.host" && !subscripted {
		label = "spec.nodeName"
	}
	if reason := unknownField(f.APIVersion, label, f.FieldPath, subscripted); reason != "" {
		return field.ErrorList{field.Invalid(at, f.FieldPath, "error converting fieldPath: "+reason)}
	}
	if !subscripted {
		return oneOf(at, label, allowed...)
	}
	if label == "metadata.annotations" {
		key = strings.ToLower(key)
	}
	return qualifiedName(p, key)
}

// unknownField says why the API cannot name this field, or nothing.
func unknownField(version, label, path string, subscripted bool) string {
	switch {
	case version != "v1":
		return "unsupported pod version: " + version
	case subscripted && label != "metadata.annotations" && label != "metadata.labels":
		return "field label does not support subscript: " + path
	case !subscripted && !knownFields()[label]:
		return "field label not supported: " + path
	}
	return ""
}

// subscript splits a path like metadata.labels['key'].
func subscript(path string) (label, key string, ok bool) {
	rest, ok := strings.CutSuffix(path, "']")
	if !ok {
		return path, "", false
	}
	label, key, ok = strings.Cut(rest, "['")
	if !ok || label == "" {
		return path, "", false
	}
	return label, key, true
}

func resourceSelector(p *field.Path, r *corev1.ResourceFieldSelector, volume bool) field.ErrorList {
	kind, name, _ := strings.Cut(r.Resource, ".")
	hugePages := (kind == "limits" || kind == "requests") && strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	unknown := oneOf(p.Child("resource"), r.Resource, "limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory")
	if hugePages {
		unknown = nil
	}
	var errs field.ErrorList
	switch {
	case volume && r.ContainerName == "":
		errs = append(errs, field.Required(p.Child("containerName"), ""))
	case r.Resource == "":
		errs = append(errs, field.Required(p.Child("resource"), ""))
	default:
		errs = append(errs, unknown...)
	}
	if len(unknown) > 0 {
		return errs
	}
	return append(errs, divisor(p.Child("divisor"), r.Resource, name, r.Divisor)...)
}

// divisor wants a unit that makes sense for the resource: thousandths or ones of a CPU, powers of 1000 or 1024 bytes.
func divisor(p *field.Path, full, name string, q resource.Quantity) field.ErrorList {
	if q.IsZero() {
		return nil
	}
	units, text, kind := []string{"1m", "1"}, "1m and 1", "cpu"
	if name != "cpu" {
		units = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
		text, kind = strings.Join(units, ", "), name
		if strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) {
			kind = "hugepages"
		}
		if name == "ephemeral-storage" {
			kind = "local ephemeral storage"
		}
	}
	for _, unit := range units {
		if q.String() == unit {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(p, full,
		fmt.Sprintf("only divisor's values %s are supported with the %s resource", text, kind))}
}
