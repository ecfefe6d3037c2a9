package api

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// EphemeralContainersKind is the old kind of the subresource pods/ephemeralcontainers.
func EphemeralContainersKind() schema.GroupVersionKind {
	return corev1.SchemeGroupVersion.WithKind("EphemeralContainers")
}

// EphemeralContainers is a list of ephemeral containers used with the Pod ephemeralcontainers subresource, as
// Kubernetes v1.16 to v1.21 served it.
type EphemeralContainers struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata, the Pod's own.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	// A list of ephemeral containers associated with this pod. New ephemeral containers may be appended to this
	// list, but existing ephemeral containers may not be removed or modified.
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	EphemeralContainers []corev1.EphemeralContainer `json:"ephemeralContainers" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,2,rep,name=ephemeralContainers"`
}

// OpenAPIModelName is the name of the kind's schema in OpenAPI.
func (EphemeralContainers) OpenAPIModelName() string {
	return "io.k8s.api.core.v1.EphemeralContainers"
}

// DeepCopyObject copies everything that in refers to.
func (in *EphemeralContainers) DeepCopyObject() runtime.Object {
	if in == nil {
		return nil
	}
	out := &EphemeralContainers{TypeMeta: in.TypeMeta}
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	if in.EphemeralContainers != nil {
		out.EphemeralContainers = make([]corev1.EphemeralContainer, len(in.EphemeralContainers))
		for i := range in.EphemeralContainers {
			in.EphemeralContainers[i].DeepCopyInto(&out.EphemeralContainers[i])
		}
	}
	return out
}
