package scheme

import (
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// addFieldLabels names what field selectors may ask of the kinds that have more than names to ask for.
func addFieldLabels(s *runtime.Scheme) error {
	const name, namespace = "metadata.name", "metadata.namespace"
	for kind, labels := range map[schema.GroupVersionKind][]string{
		corev1.SchemeGroupVersion.WithKind("Pod"): {
			name, namespace,
			"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
		},
		corev1.SchemeGroupVersion.WithKind("Node"):      {name, "spec.unschedulable"},
		corev1.SchemeGroupVersion.WithKind("Namespace"): {name, "status.phase"},
		corev1.SchemeGroupVersion.WithKind("Secret"):    {name, namespace, "type"},
		corev1.SchemeGroupVersion.WithKind("Event"): {
			name, namespace,
			"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
			"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
			"reason", "reportingComponent", "source", "type",
		},
		certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"): {name, "spec.signerName"},
	} {
		if err := s.AddFieldLabelConversionFunc(kind, only(labels)); err != nil {
			return fmt.Errorf("field labels of %s: %w", kind, err)
		}
	}
	return s.AddFieldLabelConversionFunc(eventsv1.SchemeGroupVersion.WithKind("Event"), eventLabel)
}

func only(labels []string) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		switch {
		case slices.Contains(labels, label):
			return label, value, nil
		case label == "spec.host" && slices.Contains(labels, "spec.nodeName"):
			return "spec.nodeName", value, nil
		default:
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
	}
}

// eventLabel maps the field names of events.k8s.io to those of the core Event that is stored.
func eventLabel(label, value string) (string, string, error) {
	switch label {
	case "metadata.name", "metadata.namespace", "reason", "type":
		return label, value, nil
	case "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath":
		return "involvedObject" + label[len("regarding"):], value, nil
	case "reportingController":
		return "reportingComponent", value, nil
	default:
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
}
