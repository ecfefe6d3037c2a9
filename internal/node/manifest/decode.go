package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// Annotations of static Pods, as the kubelet names them.
const (
	annotationSource = "kubernetes.io/config.source"
	annotationHash   = "kubernetes.io/config.hash"
)

// Decode makes the static Pod of a node from a file's content, YAML or JSON. Its UID depends on the content, the file's
// name and the node, so that the same file is the same Pod after a restart, and a changed file another one.
func Decode(content []byte, file, node string) (*corev1.Pod, error) {
	object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(content, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("a %s %s is no Pod of v1", kind.GroupVersion(), kind.Kind)
	}
	if pod.Name == "" {
		return nil, errors.New("the pod has no name")
	}
	if ref := reference(pod); ref != "" {
		return nil, fmt.Errorf("a static pod may not refer to %s: it does not depend on the API", ref)
	}
	source, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod: %w", err)
	}
	sum := sha256.Sum256([]byte(node + "\x00" + file + "\x00" + string(source)))
	hash := hex.EncodeToString(sum[:16])

	pod.UID = types.UID(hash)
	pod.Name += "-" + strings.ToLower(node)
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = node
	pod.Status = corev1.PodStatus{}
	pod.ResourceVersion, pod.Generation, pod.OwnerReferences, pod.Finalizers, pod.DeletionTimestamp = "", 0, nil, nil, nil
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, annotationSource, "file")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, annotationHash, hash)
	delete(pod.Annotations, corev1.MirrorPodAnnotationKey)
	// Nothing that befalls the node may drive it away: it has nowhere to go.
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	return pod, nil
}

// reference names what the Pod needs of the API, or is empty.
func reference(pod *corev1.Pod) string {
	spec := &pod.Spec
	switch {
	case spec.ServiceAccountName != "" || spec.DeprecatedServiceAccount != "":
		return "a service account"
	case len(spec.ImagePullSecrets) > 0:
		return "image pull secrets"
	case len(spec.ResourceClaims) > 0:
		return "resource claims"
	case len(spec.EphemeralContainers) > 0:
		return "ephemeral containers, which are added through the API"
	}
	for i := range spec.Volumes {
		if ref := volumeReference(&spec.Volumes[i]); ref != "" {
			return ref
		}
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if ref := containerReference(&list[i]); ref != "" {
				return ref
			}
		}
	}
	return ""
}

func volumeReference(v *corev1.Volume) string {
	switch {
	case v.Secret != nil:
		return "secrets"
	case v.ConfigMap != nil:
		return "config maps"
	case v.PersistentVolumeClaim != nil || v.Ephemeral != nil:
		return "volume claims"
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.DownwardAPI == nil {
				return "secrets, config maps, tokens or trust bundles"
			}
		}
	}
	return ""
}

func containerReference(c *corev1.Container) string {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil || from.SecretRef != nil {
			return "config maps or secrets"
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom != nil && (env.ValueFrom.ConfigMapKeyRef != nil || env.ValueFrom.SecretKeyRef != nil) {
			return "config maps or secrets"
		}
	}
	return ""
}

// Mirror is the object by which the API shows a static Pod of the node. It is the node's: what becomes of it changes
// nothing about the Pod.
func Mirror(pod *corev1.Pod, node *corev1.Node) *corev1.Pod {
	mirror := pod.DeepCopy()
	mirror.UID = ""
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = string(pod.UID)
	controller := true
	mirror.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: node.Name, UID: node.UID, Controller: &controller,
	}}
	return mirror
}
