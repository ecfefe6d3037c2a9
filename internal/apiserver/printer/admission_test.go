package printer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestPoliciesAreDrawn(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "x"}
	for name, c := range map[string]struct {
		object runtime.Object
		want   []any
	}{
		"policy":  {&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{Validations: make([]admissionregistrationv1.Validation, 2)}}, []any{"x", int64(2), "<unset>"}},
		"binding": {&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "p", ParamRef: &admissionregistrationv1.ParamRef{Name: "n"}}}, []any{"x", "p", "*/n"}},
		"webhook": {&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: make([]admissionregistrationv1.MutatingWebhook, 1)}, []any{"x", int64(1)}},
	} {
		table, err := New(schema.GroupResource{}).ConvertToTable(t.Context(), c.object, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cells := table.Rows[0].Cells
		if diff := cmp.Diff(c.want, cells[:len(cells)-1]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
