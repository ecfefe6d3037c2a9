package volume

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Kind is the kubelet's name of a volume's plugin, the last part of kubernetes.io/<kind>; empty if unsupported.
func kind(v *corev1.Volume) string {
	switch {
	case v.EmptyDir != nil:
		return "empty-dir"
	case v.HostPath != nil:
		return "host-path"
	case v.ConfigMap != nil:
		return "configmap"
	case v.Secret != nil:
		return "secret"
	case v.DownwardAPI != nil:
		return "downward-api"
	case v.Projected != nil:
		return "projected"
	case v.Image != nil:
		return "image"
	}
	return ""
}

// Unsupported names the first volume of the Pod that this node cannot provide, or returns nil.
func Unsupported(pod *corev1.Pod) error {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.VolumeSource == (corev1.VolumeSource{}) {
			continue // the API server defaults it to emptyDir
		}
		if kind(v) == "" {
			return fmt.Errorf("volume %q is of type %s, which this node does not support (supported: emptyDir, hostPath, configMap, secret, downwardAPI, projected, image)", v.Name, typeName(v))
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ClusterTrustBundle != nil || source.PodCertificate != nil {
				return fmt.Errorf("volume %q projects a clusterTrustBundle or podCertificate, which this node does not support", v.Name)
			}
		}
	}
	return nil
}

// typeName names the field of VolumeSource that is set.
func typeName(v *corev1.Volume) string {
	names := map[string]bool{
		"persistentVolumeClaim": v.PersistentVolumeClaim != nil,
		"nfs":                   v.NFS != nil,
		"csi":                   v.CSI != nil,
		"ephemeral":             v.Ephemeral != nil,
		"iscsi":                 v.ISCSI != nil,
		"fc":                    v.FC != nil,
		"gitRepo":               v.GitRepo != nil,
		"flexVolume":            v.FlexVolume != nil,
		"cephfs":                v.CephFS != nil,
		"rbd":                   v.RBD != nil,
		"glusterfs":             v.Glusterfs != nil,
		"azureFile":             v.AzureFile != nil,
		"azureDisk":             v.AzureDisk != nil,
		"awsElasticBlockStore":  v.AWSElasticBlockStore != nil,
		"gcePersistentDisk":     v.GCEPersistentDisk != nil,
		"cinder":                v.Cinder != nil,
		"vsphereVolume":         v.VsphereVolume != nil,
		"portworxVolume":        v.PortworxVolume != nil,
		"quobyte":               v.Quobyte != nil,
		"scaleIO":               v.ScaleIO != nil,
		"storageos":             v.StorageOS != nil,
		"photonPersistentDisk":  v.PhotonPersistentDisk != nil,
		"flocker":               v.Flocker != nil,
	}
	for name, set := range names {
		if set {
			return name
		}
	}
	return "unknown"
}
