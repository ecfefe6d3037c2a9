package validation

import (
	"net"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxUnit         = 255
	maxQuobyteOwner = 65
	maxInitiator    = 64
	iqnFormat       = `iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`
	euiFormat       = `^eui.[[:alnum:]]{16}$`
	naaFormat       = `^naa.[[:alnum:]]{32}$`
)

// must makes the check of a source whose only rule is that fields are not empty: pairs of name and value.
func must(pairs ...string) func(*field.Path) field.ErrorList {
	return func(p *field.Path) field.ErrorList {
		var errs field.ErrorList
		for i := 0; i+1 < len(pairs); i += 2 {
			errs = append(errs, required(p.Child(pairs[i]), pairs[i+1])...)
		}
		return errs
	}
}

// some wants at least one value.
func some(p *field.Path, values []string) field.ErrorList {
	if len(values) == 0 {
		return field.ErrorList{field.Required(p, "")}
	}
	return nil
}

// networkSources are the sources that live on another machine. The API judges them even where no node serves them.
func networkSources(v *corev1.Volume) []sourceRule {
	var list []sourceRule
	add := func(name string, set bool, check func(*field.Path) field.ErrorList) {
		if set {
			list = append(list, sourceRule{name, set, check})
		}
	}
	if d := v.GCEPersistentDisk; d != nil {
		add("gcePersistentDisk", true, disk("pdName", d.PDName, d.Partition))
	}
	if d := v.AWSElasticBlockStore; d != nil {
		add("awsElasticBlockStore", true, disk("volumeID", d.VolumeID, d.Partition))
	}
	add("nfs", v.NFS != nil, func(p *field.Path) field.ErrorList { return nfs(p, v.NFS) })
	add("iscsi", v.ISCSI != nil, func(p *field.Path) field.ErrorList { return iscsi(p, v.ISCSI) })
	if g := v.Glusterfs; g != nil {
		add("glusterfs", true, must("endpoints", g.EndpointsName, "path", g.Path))
	}
	add("flocker", v.Flocker != nil, func(p *field.Path) field.ErrorList { return flocker(p, v.Flocker) })
	if r := v.RBD; r != nil {
		add("rbd", true, func(p *field.Path) field.ErrorList {
			return append(some(p.Child("monitors"), r.CephMonitors), required(p.Child("image"), r.RBDImage)...)
		})
	}
	if c := v.Cinder; c != nil {
		add("cinder", true, func(p *field.Path) field.ErrorList {
			return append(required(p.Child("volumeID"), c.VolumeID), secretReference(p.Child("secretRef"), c.SecretRef)...)
		})
	}
	if c := v.CephFS; c != nil {
		add("cephfs", true, func(p *field.Path) field.ErrorList { return some(p.Child("monitors"), c.Monitors) })
	}
	add("quobyte", v.Quobyte != nil, func(p *field.Path) field.ErrorList { return quobyte(p, v.Quobyte) })
	add("fc", v.FC != nil, func(p *field.Path) field.ErrorList { return fibreChannel(p, v.FC) })
	add("flexVolume", v.FlexVolume != nil, func(p *field.Path) field.ErrorList { return flexVolume(p, v.FlexVolume) })
	if a := v.AzureFile; a != nil {
		add("azureFile", true, must("secretName", a.SecretName, "shareName", a.ShareName))
	}
	if s := v.VsphereVolume; s != nil {
		add("vsphereVolume", true, must("volumePath", s.VolumePath))
	}
	if d := v.PhotonPersistentDisk; d != nil {
		add("photonPersistentDisk", true, must("pdID", d.PdID))
	}
	if w := v.PortworxVolume; w != nil {
		add("portworxVolume", true, must("volumeID", w.VolumeID))
	}
	add("azureDisk", v.AzureDisk != nil, func(p *field.Path) field.ErrorList { return azureDisk(p, v.AzureDisk) })
	add("storageos", v.StorageOS != nil, func(p *field.Path) field.ErrorList { return storageOS(p, v.StorageOS) })
	if s := v.ScaleIO; s != nil {
		add("scaleIO", true, must("gateway", s.Gateway, "system", s.System, "volumeName", s.VolumeName))
	}
	return list
}

// disk makes the check of a disk with partitions.
func disk(name, id string, partition int32) func(*field.Path) field.ErrorList {
	return func(p *field.Path) field.ErrorList {
		errs := required(p.Child(name), id)
		if partition < 0 || partition > maxUnit { // 0 is for none
			errs = append(errs, field.Invalid(p.Child("partition"), partition, validation.InclusiveRangeError(1, maxUnit)))
		}
		return errs
	}
}

func nfs(p *field.Path, v *corev1.NFSVolumeSource) field.ErrorList {
	errs := must("server", v.Server, "path", v.Path)(p)
	if !path.IsAbs(v.Path) {
		errs = append(errs, field.Invalid(p.Child("path"), v.Path, "must be an absolute path"))
	}
	return errs
}

func secretReference(p *field.Path, ref *corev1.LocalObjectReference) field.ErrorList {
	if ref == nil {
		return nil
	}
	return required(p.Child("name"), ref.Name)
}

func iscsi(p *field.Path, v *corev1.ISCSIVolumeSource) field.ErrorList {
	errs := required(p.Child("targetPortal"), v.TargetPortal)
	if v.IQN == "" {
		errs = append(errs, field.Required(p.Child("iqn"), ""))
	} else {
		errs = append(errs, iscsiName(p.Child("iqn"), v.IQN)...)
	}
	errs = append(errs, inRange(p.Child("lun"), int(v.Lun), 0, maxUnit)...)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(p.Child("secretRef"), ""))
	}
	if v.InitiatorName != nil {
		errs = append(errs, iscsiName(p.Child("initiatorname"), *v.InitiatorName)...)
	}
	return errs
}

// initiatorLength keeps the name that a node makes of a volume and its portal within what an initiator can have.
func initiatorLength(p *field.Path, v *corev1.Volume) field.ErrorList {
	if v.ISCSI == nil || v.ISCSI.InitiatorName == nil || len(v.Name+":"+v.ISCSI.TargetPortal) <= maxInitiator {
		return nil
	}
	return field.ErrorList{field.Invalid(p.Child("name"), v.Name,
		"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")}
}

func iscsiName(p *field.Path, name string) field.ErrorList {
	for prefix, format := range map[string]string{"iqn": iqnFormat, "eui": euiFormat, "naa": naaFormat} {
		switch {
		case !strings.HasPrefix(name, prefix):
		case regexp.MustCompile(format).MatchString(name):
			return nil
		default:
			return field.ErrorList{field.Invalid(p, name, "must be valid format")}
		}
	}
	return field.ErrorList{field.Invalid(p, name, "must be valid format starting with iqn, eui, or naa")}
}

func flocker(p *field.Path, v *corev1.FlockerVolumeSource) field.ErrorList {
	var errs field.ErrorList
	if v.DatasetName == "" && v.DatasetUUID == "" {
		errs = append(errs, field.Required(p, "one of datasetName and datasetUUID is required"))
	}
	if v.DatasetName != "" && v.DatasetUUID != "" {
		errs = append(errs, field.Invalid(p, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
	}
	if strings.Contains(v.DatasetName, "/") {
		errs = append(errs, field.Invalid(p.Child("datasetName"), v.DatasetName, "must not contain '/'"))
	}
	return errs
}

func quobyte(p *field.Path, v *corev1.QuobyteVolumeSource) field.ErrorList {
	const hostPorts = "must be a host:port pair or multiple pairs separated by commas"
	var errs field.ErrorList
	switch {
	case v.Registry == "":
		errs = append(errs, field.Required(p.Child("registry"), hostPorts))
	case len(v.Tenant) >= maxQuobyteOwner:
		errs = append(errs, field.Required(p.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
	default:
		for _, pair := range strings.Split(v.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				errs = append(errs, field.Invalid(p.Child("registry"), v.Registry, hostPorts))
			}
		}
	}
	return append(errs, required(p.Child("volume"), v.Volume)...)
}

func fibreChannel(p *field.Path, v *corev1.FCVolumeSource) field.ErrorList {
	var errs field.ErrorList
	at := p.Child("targetWWNs")
	switch {
	case len(v.TargetWWNs) == 0 && len(v.WWIDs) == 0:
		errs = append(errs, field.Required(at, "must specify either targetWWNs or wwids, but not both"))
	case len(v.TargetWWNs) > 0 && len(v.WWIDs) > 0:
		errs = append(errs, field.Invalid(at, v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
	}
	switch {
	case len(v.TargetWWNs) == 0:
	case v.Lun == nil:
		errs = append(errs, field.Required(p.Child("lun"), "lun is required if targetWWNs is specified"))
	default:
		errs = append(errs, inRange(p.Child("lun"), int(*v.Lun), 0, maxUnit)...)
	}
	return errs
}

func flexVolume(p *field.Path, v *corev1.FlexVolumeSource) field.ErrorList {
	errs := required(p.Child("driver"), v.Driver)
	for key := range v.Options {
		domain, _, _ := strings.Cut(strings.ToLower(key), "/")
		for _, reserved := range []string{"k8s.io", "kubernetes.io"} {
			if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
				errs = append(errs, field.Invalid(p.Child("options").Key(key), key,
					"kubernetes.io and k8s.io namespaces are reserved"))
			}
		}
	}
	return errs
}

func azureDisk(p *field.Path, v *corev1.AzureDiskVolumeSource) field.ErrorList {
	errs := must("diskName", v.DiskName, "diskURI", v.DataDiskURI)(p)
	if v.CachingMode != nil {
		errs = append(errs, oneOf(p.Child("cachingMode"), *v.CachingMode, corev1.AzureDataDiskCachingNone,
			corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	}
	if v.Kind == nil {
		return errs
	}
	errs = append(errs, oneOf(p.Child("kind"), *v.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)...)
	at := p.Child("diskURI")
	if *v.Kind == corev1.AzureManagedDisk && !strings.HasPrefix(v.DataDiskURI, "/subscriptions/") {
		errs = append(errs, field.NotSupported(at, v.DataDiskURI,
			[]string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}))
	}
	if *v.Kind != corev1.AzureManagedDisk && !strings.HasPrefix(v.DataDiskURI, "https://") {
		errs = append(errs, field.NotSupported(at, v.DataDiskURI,
			[]string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
	}
	return errs
}

func storageOS(p *field.Path, v *corev1.StorageOSVolumeSource) field.ErrorList {
	errs := requiredLabel(p.Child("volumeName"), v.VolumeName)
	if v.VolumeNamespace != "" {
		errs = append(errs, dnsLabel(p.Child("volumeNamespace"), v.VolumeNamespace)...)
	}
	return append(errs, secretReference(p.Child("secretRef"), v.SecretRef)...)
}

func csi(p *field.Path, v *corev1.CSIVolumeSource) field.ErrorList {
	errs := csiDriver(p.Child("driver"), v.Driver)
	if ref := v.NodePublishSecretRef; ref != nil {
		if ref.Name == "" {
			return append(errs, field.Required(p.Child("nodePublishSecretRef", "name"), ""))
		}
		errs = append(errs, dnsSubdomain(p.Child("name"), ref.Name)...) // upstream's path
	}
	return errs
}

func csiDriver(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return required(p, name)
	}
	var errs field.ErrorList
	if len(name) > validation.DNS1123LabelMaxLength {
		errs = append(errs, field.TooLong(p, name, validation.DNS1123LabelMaxLength))
	}
	return append(errs, invalid(p, name, validation.IsDNS1123Subdomain(strings.ToLower(name)))...)
}
