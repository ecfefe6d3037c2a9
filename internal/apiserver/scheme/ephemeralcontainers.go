package scheme

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
)

// EphemeralContainersMark stands in metadata.selfLink of a Pod that was decoded from an EphemeralContainers: of such
// a Pod only the metadata and spec.ephemeralContainers mean anything. Nothing else uses selfLink in a request, and
// the field manager leaves it alone, unlike TypeMeta.
const EphemeralContainersMark = "mayfly:EphemeralContainers"

// IsEphemeralContainers tells whether pod stands for an EphemeralContainers.
func IsEphemeralContainers(pod *corev1.Pod) bool {
	return pod.SelfLink == EphemeralContainersMark
}

// addEphemeralContainers lets handlers decode the old kind where they expect a Pod.
func addEphemeralContainers(s *runtime.Scheme) error {
	s.AddTypeDefaultingFunc(&api.EphemeralContainers{}, func(o any) {
		list := o.(*api.EphemeralContainers).EphemeralContainers
		for i := range list {
			defaults.SetEphemeralContainer(&list[i])
		}
	})
	return s.AddConversionFunc((*api.EphemeralContainers)(nil), (*corev1.Pod)(nil), func(a, b any, _ conversion.Scope) error {
		PodFromEphemeralContainers(a.(*api.EphemeralContainers), b.(*corev1.Pod))
		return nil
	})
}

// PodFromEphemeralContainers fills pod with what in says and marks it.
func PodFromEphemeralContainers(in *api.EphemeralContainers, pod *corev1.Pod) {
	*pod = corev1.Pod{ObjectMeta: in.ObjectMeta}
	pod.SelfLink = EphemeralContainersMark
	pod.Spec.EphemeralContainers = in.EphemeralContainers
}

// EphemeralContainersFromPod is the answer in the old kind. As servers of its time, it does not name the default path of
// termination messages; an update without the path means the default one.
func EphemeralContainersFromPod(pod *corev1.Pod) *api.EphemeralContainers {
	out := &api.EphemeralContainers{EphemeralContainers: make([]corev1.EphemeralContainer, 0, len(pod.Spec.EphemeralContainers))}
	out.SetGroupVersionKind(api.EphemeralContainersKind())
	out.Name, out.Namespace, out.UID = pod.Name, pod.Namespace, pod.UID
	out.ResourceVersion, out.CreationTimestamp = pod.ResourceVersion, pod.CreationTimestamp
	out.SelfLink = "/api/v1/namespaces/" + pod.Namespace + "/pods/" + pod.Name + "/ephemeralcontainers"
	for _, c := range pod.Spec.EphemeralContainers {
		if c.TerminationMessagePath == corev1.TerminationMessagePathDefault {
			c.TerminationMessagePath = ""
		}
		out.EphemeralContainers = append(out.EphemeralContainers, c)
	}
	return out
}
