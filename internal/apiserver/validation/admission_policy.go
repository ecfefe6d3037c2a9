package validation

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatingAdmissionPolicyCreate judges a new policy, but for what its expressions mean.
func ValidatingAdmissionPolicyCreate(p *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	return append(created(&p.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), validatingPolicySpec(&p.Spec)...)
}

// ValidatingAdmissionPolicyUpdate judges an update of a policy.
func ValidatingAdmissionPolicyUpdate(p, old *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	return append(updated(&p.ObjectMeta, &old.ObjectMeta), validatingPolicySpec(&p.Spec)...)
}

func validatingPolicySpec(s *admissionregistrationv1.ValidatingAdmissionPolicySpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := policyFrame(p, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions)
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		errs = append(errs, field.Required(p.Child("validations"), "validations or auditAnnotations must contain at least one item"))
	}
	for i, v := range s.Validations {
		at := p.Child("validations").Index(i)
		if r := v.Reason; r != nil {
			errs = append(errs, oneOf(at.Child("reason"), *r, metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonUnauthorized)...)
		}
	}
	seen := map[string]bool{}
	for i, a := range s.AuditAnnotations {
		at := p.Child("auditAnnotations").Index(i).Child("key")
		if a.Key == "" {
			errs = append(errs, field.Required(at, "key is not specified"))
			continue
		}
		errs = append(errs, qualifiedName(at, a.Key)...)
		if seen[a.Key] {
			errs = append(errs, field.Duplicate(at, a.Key))
		}
		seen[a.Key] = true
	}
	return errs
}

// policyFrame holds the rules that both kinds of policies have in common.
func policyFrame(p *field.Path, failure *admissionregistrationv1.FailurePolicyType, param *admissionregistrationv1.ParamKind, match *admissionregistrationv1.MatchResources, conditions []admissionregistrationv1.MatchCondition) field.ErrorList {
	var errs field.ErrorList
	if failure == nil {
		errs = append(errs, field.Required(p.Child("failurePolicy"), ""))
	} else {
		errs = append(errs, oneOf(p.Child("failurePolicy"), *failure, admissionregistrationv1.Fail, admissionregistrationv1.Ignore)...)
	}
	if param != nil {
		errs = append(errs, paramKind(p.Child("paramKind"), param)...)
	}
	at := p.Child("matchConstraints")
	if match == nil {
		errs = append(errs, field.Required(at, ""))
	} else {
		if len(match.ResourceRules) == 0 {
			errs = append(errs, field.Required(at.Child("resourceRules"), ""))
		}
		errs = append(errs, matchResources(at, match)...)
	}
	return append(errs, matchConditions(p.Child("matchConditions"), conditions)...)
}

func paramKind(p *field.Path, k *admissionregistrationv1.ParamKind) field.ErrorList {
	var errs field.ErrorList
	if k.APIVersion == "" {
		errs = append(errs, field.Required(p.Child("apiVersion"), ""))
	} else if _, err := schema.ParseGroupVersion(k.APIVersion); err != nil {
		errs = append(errs, field.Invalid(p.Child("apiVersion"), k.APIVersion, err.Error()))
	}
	if k.Kind == "" {
		errs = append(errs, field.Required(p.Child("kind"), ""))
	}
	return errs
}

func matchConditions(p *field.Path, all []admissionregistrationv1.MatchCondition) field.ErrorList {
	const most = 64
	var errs field.ErrorList
	if len(all) > most {
		errs = append(errs, field.TooMany(p, len(all), most))
	}
	seen := map[string]bool{}
	for i, c := range all {
		at := p.Index(i).Child("name")
		if c.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		errs = append(errs, qualifiedName(at, c.Name)...)
		if seen[c.Name] {
			errs = append(errs, field.Duplicate(at, c.Name))
		}
		seen[c.Name] = true
	}
	return errs
}

// ValidatingAdmissionPolicyBindingCreate judges a new binding.
func ValidatingAdmissionPolicyBindingCreate(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	return append(created(&b.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), validatingBindingSpec(&b.Spec)...)
}

// ValidatingAdmissionPolicyBindingUpdate judges an update of a binding.
func ValidatingAdmissionPolicyBindingUpdate(b, old *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	return append(updated(&b.ObjectMeta, &old.ObjectMeta), validatingBindingSpec(&b.Spec)...)
}

func validatingBindingSpec(s *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := bindingFrame(p, s.PolicyName, s.ParamRef, s.MatchResources)
	at := p.Child("validationActions")
	if len(s.ValidationActions) == 0 {
		errs = append(errs, field.Required(at, ""))
	}
	seen := map[admissionregistrationv1.ValidationAction]bool{}
	for i, a := range s.ValidationActions {
		errs = append(errs, oneOf(at.Index(i), a, admissionregistrationv1.Audit, admissionregistrationv1.Deny, admissionregistrationv1.Warn)...)
		if seen[a] {
			errs = append(errs, field.Duplicate(at.Index(i), a))
		}
		seen[a] = true
	}
	if seen[admissionregistrationv1.Deny] && seen[admissionregistrationv1.Warn] {
		errs = append(errs, field.Invalid(at, s.ValidationActions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	return errs
}

func bindingFrame(p *field.Path, policy string, param *admissionregistrationv1.ParamRef, match *admissionregistrationv1.MatchResources) field.ErrorList {
	var errs field.ErrorList
	if policy == "" {
		errs = append(errs, field.Required(p.Child("policyName"), ""))
	} else {
		errs = append(errs, invalid(p.Child("policyName"), policy, apivalidation.NameIsDNSSubdomain(policy, false))...)
	}
	if param != nil {
		at := p.Child("paramRef")
		switch {
		case param.Name != "" && param.Selector != nil:
			errs = append(errs, field.Forbidden(at.Child("name"), "name and selector are mutually exclusive"))
		case param.Name == "" && param.Selector == nil:
			errs = append(errs, field.Required(at, "one of name or selector must be specified"))
		}
		if param.ParameterNotFoundAction == nil {
			errs = append(errs, field.Required(at.Child("parameterNotFoundAction"), ""))
		} else {
			errs = append(errs, oneOf(at.Child("parameterNotFoundAction"), *param.ParameterNotFoundAction, admissionregistrationv1.AllowAction, admissionregistrationv1.DenyAction)...)
		}
	}
	if match != nil {
		errs = append(errs, matchResources(p.Child("matchResources"), match)...)
	}
	return errs
}

// MutatingAdmissionPolicyCreate judges a new policy, but for what its expressions mean.
func MutatingAdmissionPolicyCreate(p *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	return append(created(&p.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), mutatingPolicySpec(&p.Spec)...)
}

// MutatingAdmissionPolicyUpdate judges an update of a policy.
func MutatingAdmissionPolicyUpdate(p, old *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	errs := updated(&p.ObjectMeta, &old.ObjectMeta)
	if equality.Semantic.DeepEqual(p.Spec, old.Spec) {
		return errs
	}
	return append(errs, mutatingPolicySpec(&p.Spec)...)
}

func mutatingPolicySpec(s *admissionregistrationv1.MutatingAdmissionPolicySpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := policyFrame(p, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions)
	errs = append(errs, requiredOneOf(p.Child("reinvocationPolicy"), s.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy, admissionregistrationv1.IfNeededReinvocationPolicy)...)
	at := p.Child("mutations")
	if len(s.Mutations) == 0 {
		errs = append(errs, field.Required(at, "mutations must contain at least one item"))
	}
	for i, m := range s.Mutations {
		errs = append(errs, requiredOneOf(at.Index(i).Child("patchType"), m.PatchType, admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch)...)
		errs = append(errs, patches(at.Index(i), &m)...)
	}
	return errs
}

// patches wants the one patch that the type names.
func patches(p *field.Path, m *admissionregistrationv1.Mutation) field.ErrorList {
	var errs field.ErrorList
	for _, one := range []struct {
		name  string
		set   bool
		wants bool
	}{
		{"applyConfiguration", m.ApplyConfiguration != nil, m.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration},
		{"jsonPatch", m.JSONPatch != nil, m.PatchType == admissionregistrationv1.PatchTypeJSONPatch},
	} {
		switch {
		case one.wants && !one.set:
			errs = append(errs, field.Required(p.Child(one.name), "must be specified for this patchType"))
		case one.set && !one.wants && m.PatchType != "":
			errs = append(errs, field.Invalid(p.Child(one.name), "{}", "must not be specified for this patchType"))
		}
	}
	return errs
}

// MutatingAdmissionPolicyBindingCreate judges a new binding.
func MutatingAdmissionPolicyBindingCreate(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(created(&b.ObjectMeta, false, apivalidation.NameIsDNSSubdomain),
		bindingFrame(field.NewPath("spec"), b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)...)
}

// MutatingAdmissionPolicyBindingUpdate judges an update of a binding.
func MutatingAdmissionPolicyBindingUpdate(b, old *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(updated(&b.ObjectMeta, &old.ObjectMeta),
		bindingFrame(field.NewPath("spec"), b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)...)
}
