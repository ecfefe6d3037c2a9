package scheduler

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// missingVolume says what a Pod asks for that no node can give, because the objects for it are not served at all:
// claims of storage and of devices. Such a Pod stays pending, and says why.
func missingVolume(pod *corev1.Pod) string {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		var claim string
		switch {
		case v.PersistentVolumeClaim != nil:
			claim = v.PersistentVolumeClaim.ClaimName
		case v.Ephemeral != nil:
			claim = pod.Name + "-" + v.Name
		default:
			continue
		}
		return fmt.Sprintf("persistentvolumeclaim %q not found: volume %q asks for persistent storage, which Mayfly does not have", claim, v.Name)
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return fmt.Sprintf("resourceclaim %q not found: dynamic resource allocation is not served", pod.Spec.ResourceClaims[0].Name)
	}
	return ""
}
