package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxMode = 0o777

// volumes holds the rules of a Pod's volumes and returns the sources of the valid ones by name, which mounts may use.
// meta is nil for a Pod template.
func volumes(p *field.Path, list []corev1.Volume, meta *metav1.ObjectMeta) (map[string]corev1.VolumeSource, field.ErrorList) {
	var errs field.ErrorList
	valid := map[string]corev1.VolumeSource{}
	created := createdClaims(list, meta)
	for i := range list {
		v, at := &list[i], p.Index(i)
		own := volumeSource(at, v, meta)
		own = append(own, requiredLabel(at.Child("name"), v.Name)...)
		if _, ok := valid[v.Name]; ok && v.Name != "" {
			own = append(own, field.Duplicate(at.Child("name"), v.Name))
		}
		if len(own) == 0 {
			valid[v.Name] = v.VolumeSource
		}
		errs = append(errs, own...)
		if pvc := v.PersistentVolumeClaim; pvc != nil && created[pvc.ClaimName] {
			errs = append(errs, field.Invalid(at.Child("persistentVolumeClaim", "claimName"), pvc.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
	return valid, errs
}

// createdClaims are the names of the claims that the Pod's ephemeral volumes will make.
func createdClaims(list []corev1.Volume, meta *metav1.ObjectMeta) names {
	created := names{}
	if meta == nil || meta.Name == "" {
		return created
	}
	for i := range list {
		if list[i].Ephemeral != nil {
			created.take(meta.Name + "-" + list[i].Name)
		}
	}
	return created
}

// sourceRule is one kind of volume source: its field, whether it is set, and its rules.
type sourceRule struct {
	name  string
	set   bool
	check func(p *field.Path) field.ErrorList
}

// sourceOrder is the order in which upstream looks at sources: of two, the later one is refused.
func sourceOrder() []string {
	return []string{
		"emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi", "glusterfs",
		"flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc", "flexVolume", "configMap",
		"azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos", "projected", "scaleIO",
		"csi", "ephemeral", "image",
	}
}

// surplusName is the name under which upstream refuses a second source, which is not always the field's.
func surplusName(name string) string {
	switch name {
	case "cephfs":
		return "cephFS"
	case "downwardAPI":
		return "downwarAPI"
	}
	return name
}

// checkedName is the name under which upstream refuses what is wrong inside a source, which is not always the field's.
func checkedName(name string) string {
	if name == "gcePersistentDisk" {
		return "persistentDisk"
	}
	return name
}

// volumeSource wants exactly one source and holds its rules.
func volumeSource(p *field.Path, v *corev1.Volume, meta *metav1.ObjectMeta) field.ErrorList {
	set := map[string]sourceRule{}
	for _, rule := range slices.Concat(localSources(v), networkSources(v), claimSources(p, v, meta)) {
		if rule.set {
			set[rule.name] = rule
		}
	}
	if len(set) == 0 {
		return field.ErrorList{field.Required(p, "must specify a volume type")}
	}
	var errs field.ErrorList
	first := true
	for _, name := range sourceOrder() {
		rule, ok := set[name]
		switch {
		case !ok:
		case first:
			errs = append(errs, rule.check(p.Child(checkedName(name)))...)
			first = false
		default:
			errs = append(errs, field.Forbidden(p.Child(surplusName(name)), moreThanOneVolumeType))
		}
	}
	return append(errs, initiatorLength(p, v)...)
}

// localSources are the sources that need nothing but the node and the API.
func localSources(v *corev1.Volume) []sourceRule {
	return []sourceRule{
		{"emptyDir", v.EmptyDir != nil, func(p *field.Path) field.ErrorList { return emptyDir(p, v.EmptyDir) }},
		{"hostPath", v.HostPath != nil, func(p *field.Path) field.ErrorList { return hostPath(p, v.HostPath) }},
		{"gitRepo", v.GitRepo != nil, func(p *field.Path) field.ErrorList {
			return append(required(p.Child("repository"), v.GitRepo.Repository), descendingPath(p.Child("directory"), v.GitRepo.Directory)...)
		}},
		{"secret", v.Secret != nil, func(p *field.Path) field.ErrorList {
			errs := required(p.Child("secretName"), v.Secret.SecretName)
			return append(errs, keyedFiles(p, v.Secret.DefaultMode, v.Secret.Items)...)
		}},
		{"downwardAPI", v.DownwardAPI != nil, func(p *field.Path) field.ErrorList {
			errs := fileMode(p.Child("defaultMode"), v.DownwardAPI.DefaultMode)
			return append(errs, downwardItems(p, v.DownwardAPI.Items)...)
		}},
		{"configMap", v.ConfigMap != nil, func(p *field.Path) field.ErrorList {
			errs := required(p.Child("name"), v.ConfigMap.Name)
			return append(errs, keyedFiles(p, v.ConfigMap.DefaultMode, v.ConfigMap.Items)...)
		}},
		{"projected", v.Projected != nil, func(p *field.Path) field.ErrorList { return projected(p, v.Projected) }},
		{"image", v.Image != nil, func(p *field.Path) field.ErrorList {
			return append(required(p.Child("reference"), v.Image.Reference), pullPolicy(p.Child("pullPolicy"), v.Image.PullPolicy)...)
		}},
	}
}

// claimSources are the sources behind a claim, and CSI.
func claimSources(at *field.Path, v *corev1.Volume, meta *metav1.ObjectMeta) []sourceRule {
	return []sourceRule{
		{"persistentVolumeClaim", v.PersistentVolumeClaim != nil, func(p *field.Path) field.ErrorList {
			return required(p.Child("claimName"), v.PersistentVolumeClaim.ClaimName)
		}},
		{"csi", v.CSI != nil, func(p *field.Path) field.ErrorList { return csi(p, v.CSI) }},
		{"ephemeral", v.Ephemeral != nil, func(p *field.Path) field.ErrorList {
			errs := claimTemplate(p, v.Ephemeral)
			if meta == nil || meta.Name == "" || v.Name == "" {
				return errs
			}
			claim := meta.Name + "-" + v.Name
			for _, m := range apivalidation.NameIsDNSSubdomain(claim, false) {
				errs = append(errs, field.Invalid(at.Child("name"), v.Name, "PVC name \""+claim+"\": "+m))
			}
			return errs
		}},
	}
}

func emptyDir(p *field.Path, e *corev1.EmptyDirVolumeSource) field.ErrorList {
	if e.SizeLimit != nil && e.SizeLimit.Sign() < 0 {
		return field.ErrorList{field.Forbidden(p.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
	}
	return nil
}

func hostPath(p *field.Path, h *corev1.HostPathVolumeSource) field.ErrorList {
	if h.Path == "" {
		return field.ErrorList{field.Required(p.Child("path"), "")}
	}
	errs := noBacksteps(p.Child("path"), h.Path)
	if h.Type == nil {
		return errs
	}
	return append(errs, oneOf(p.Child("type"), *h.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev,
		corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate,
		corev1.HostPathSocket)...)
}

func fileMode(p *field.Path, mode *int32) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > maxMode) {
		return field.ErrorList{field.Invalid(p, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

func keyedFiles(p *field.Path, mode *int32, items []corev1.KeyToPath) field.ErrorList {
	errs := fileMode(p.Child("defaultMode"), mode)
	for i := range items {
		errs = append(errs, keyedFile(p.Child("items").Index(i), &items[i])...)
	}
	return errs
}

func keyedFile(p *field.Path, item *corev1.KeyToPath) field.ErrorList {
	errs := required(p.Child("key"), item.Key)
	errs = append(errs, required(p.Child("path"), item.Path)...)
	errs = append(errs, unreservedPath(p.Child("path"), item.Path)...)
	return append(errs, fileMode(p.Child("mode"), item.Mode)...)
}

func downwardItems(p *field.Path, items []corev1.DownwardAPIVolumeFile) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		errs = append(errs, downwardItem(p, &items[i])...)
	}
	return errs
}

// downwardItem reports at the volume, not at the item, as upstream does.
func downwardItem(p *field.Path, item *corev1.DownwardAPIVolumeFile) field.ErrorList {
	errs := required(p.Child("path"), item.Path)
	errs = append(errs, unreservedPath(p.Child("path"), item.Path)...)
	switch {
	case item.FieldRef != nil:
		errs = append(errs, fieldSelector(p.Child("fieldRef"), item.FieldRef, volumeFields())...)
		if item.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case item.ResourceFieldRef != nil:
		errs = append(errs, resourceSelector(p.Child("resourceFieldRef"), item.ResourceFieldRef, true)...)
	default:
		errs = append(errs, field.Required(p, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, fileMode(p.Child("mode"), item.Mode)...)
}
