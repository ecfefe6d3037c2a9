package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// TestRefusalIsTheLibrarys covers a message that names the Pod already.
func TestRefusalIsTheLibrarys(t *testing.T) {
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	a := admission.NewAttributesRecord(nil, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "n", "p", pods, "", admission.Create, nil, false, nil)
	for want, result := range map[string]*metav1.Status{
		`pods "p" is forbidden: violates PodSecurity`:       {Message: `pods "p" is forbidden: violates PodSecurity`},
		`pods "p" is forbidden: Not allowed by PodSecurity`: nil,
	} {
		if err := refusal(a, result); err.Error() != want {
			t.Errorf("%v: %v", result, err)
		}
	}
}
