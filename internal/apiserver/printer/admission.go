package printer

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

const unset = "<unset>"

// admissionSheets draw policies, their bindings and webhooks.
func admissionSheets() []sheet {
	policyName := column("PolicyName", "string", admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{}.SwaggerDoc()["policyName"])
	paramRef := column("ParamRef", "string", admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{}.SwaggerDoc()["paramRef"])
	paramKind := column("ParamKind", "string", admissionregistrationv1.ValidatingAdmissionPolicySpec{}.SwaggerDoc()["paramKind"])
	webhooks := column("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration")
	return []sheet{
		of[admissionregistrationv1.ValidatingAdmissionPolicy, admissionregistrationv1.ValidatingAdmissionPolicyList](func(o *admissionregistrationv1.ValidatingAdmissionPolicy, now time.Time) []any {
			return []any{o.Name, int64(len(o.Spec.Validations)), kindOfParam(o.Spec.ParamKind), since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Validations", "integer", "Validations indicates the number of validation rules defined in this configuration"), paramKind, ageColumn()),
		of[admissionregistrationv1.ValidatingAdmissionPolicyBinding, admissionregistrationv1.ValidatingAdmissionPolicyBindingList](func(o *admissionregistrationv1.ValidatingAdmissionPolicyBinding, now time.Time) []any {
			return []any{o.Name, o.Spec.PolicyName, param(o.Spec.ParamRef), since(o.CreationTimestamp, now)}
		}, nameColumn(), policyName, paramRef, ageColumn()),
		of[admissionregistrationv1.MutatingAdmissionPolicy, admissionregistrationv1.MutatingAdmissionPolicyList](func(o *admissionregistrationv1.MutatingAdmissionPolicy, now time.Time) []any {
			return []any{o.Name, int64(len(o.Spec.Mutations)), kindOfParam(o.Spec.ParamKind), since(o.CreationTimestamp, now)}
		}, nameColumn(), column("Mutations", "integer", "Mutations indicates the number of mutation rules defined in this configuration"), paramKind, ageColumn()),
		of[admissionregistrationv1.MutatingAdmissionPolicyBinding, admissionregistrationv1.MutatingAdmissionPolicyBindingList](func(o *admissionregistrationv1.MutatingAdmissionPolicyBinding, now time.Time) []any {
			return []any{o.Name, o.Spec.PolicyName, param(o.Spec.ParamRef), since(o.CreationTimestamp, now)}
		}, nameColumn(), policyName, paramRef, ageColumn()),
		of[admissionregistrationv1.ValidatingWebhookConfiguration, admissionregistrationv1.ValidatingWebhookConfigurationList](func(o *admissionregistrationv1.ValidatingWebhookConfiguration, now time.Time) []any {
			return []any{o.Name, int64(len(o.Webhooks)), since(o.CreationTimestamp, now)}
		}, nameColumn(), webhooks, ageColumn()),
		of[admissionregistrationv1.MutatingWebhookConfiguration, admissionregistrationv1.MutatingWebhookConfigurationList](func(o *admissionregistrationv1.MutatingWebhookConfiguration, now time.Time) []any {
			return []any{o.Name, int64(len(o.Webhooks)), since(o.CreationTimestamp, now)}
		}, nameColumn(), webhooks, ageColumn()),
	}
}

func kindOfParam(k *admissionregistrationv1.ParamKind) string {
	if k == nil {
		return unset
	}
	return k.APIVersion + "/" + k.Kind
}

// param names the object, or those, that a binding's policy is given; without a namespace it may be that of the request.
func param(r *admissionregistrationv1.ParamRef) string {
	if r == nil {
		return unset
	}
	switch {
	case r.Name != "":
		return or(r.Namespace, "*") + "/" + r.Name
	case r.Selector != nil:
		return r.Selector.String()
	}
	return unset
}
