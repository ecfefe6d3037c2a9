package defaults

import corev1 "k8s.io/api/core/v1"

const (
	fileMode            = int32(0o644)
	tokenExpiry         = int64(60 * 60)
	scaleIOStorageMode  = "ThinProvisioned"
	scaleIOFileSystem   = "xfs"
	azureDiskFileSystem = "ext4"
	iscsiInterface      = "default"
	rbdPool             = "rbd"
	rbdUser, rbdKeyring = "admin", "/etc/ceph/keyring"
)

// setVolume fills in the defaults of one volume; a volume without a source becomes an emptyDir.
func setVolume(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if v.HostPath != nil && v.HostPath.Type == nil {
		v.HostPath.Type = new(corev1.HostPathUnset)
	}
	if v.Secret != nil {
		setMode(&v.Secret.DefaultMode)
	}
	if v.ConfigMap != nil {
		setMode(&v.ConfigMap.DefaultMode)
	}
	if v.DownwardAPI != nil {
		setMode(&v.DownwardAPI.DefaultMode)
		setDownwardItems(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		setMode(&v.Projected.DefaultMode)
		for i := range v.Projected.Sources {
			setProjection(&v.Projected.Sources[i])
		}
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		SetPersistentVolumeClaimSpec(&v.Ephemeral.VolumeClaimTemplate.Spec)
	}
	if v.Image != nil {
		fill(&v.Image.PullPolicy, PullPolicy(v.Image.Reference))
	}
	setNetworkVolume(v)
}

// SetPersistentVolumeClaimSpec fills in the defaults of a claim's spec.
func SetPersistentVolumeClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	if s.VolumeMode == nil {
		s.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	}
	roundUp(s.Resources.Limits)
	roundUp(s.Resources.Requests)
}

func setProjection(p *corev1.VolumeProjection) {
	if p.DownwardAPI != nil {
		setDownwardItems(p.DownwardAPI.Items)
	}
	if p.ServiceAccountToken != nil && p.ServiceAccountToken.ExpirationSeconds == nil {
		p.ServiceAccountToken.ExpirationSeconds = new(tokenExpiry)
	}
}

func setDownwardItems(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		setFieldRef(items[i].FieldRef)
	}
}

func setMode(mode **int32) {
	if *mode == nil {
		*mode = new(fileMode)
	}
}

func setNetworkVolume(v *corev1.Volume) {
	if v.ISCSI != nil {
		fill(&v.ISCSI.ISCSIInterface, iscsiInterface)
	}
	if r := v.RBD; r != nil {
		fill(&r.RBDPool, rbdPool)
		fill(&r.RadosUser, rbdUser)
		fill(&r.Keyring, rbdKeyring)
	}
	if s := v.ScaleIO; s != nil {
		fill(&s.StorageMode, scaleIOStorageMode)
		fill(&s.FSType, scaleIOFileSystem)
	}
	if d := v.AzureDisk; d != nil {
		setAzureDisk(d)
	}
}

func setAzureDisk(d *corev1.AzureDiskVolumeSource) {
	if d.CachingMode == nil {
		d.CachingMode = new(corev1.AzureDataDiskCachingReadWrite)
	}
	if d.Kind == nil {
		d.Kind = new(corev1.AzureSharedBlobDisk)
	}
	if d.FSType == nil {
		d.FSType = new(azureDiskFileSystem)
	}
	if d.ReadOnly == nil {
		d.ReadOnly = new(false)
	}
}
