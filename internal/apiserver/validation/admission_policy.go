package validation

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"
)

// ValidatingAdmissionPolicyCreate judges a new policy, but for its expressions.
func ValidatingAdmissionPolicyCreate(p *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	return append(createdLoosely(&p.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), validatingPolicySpec(p.Name, &p.Spec)...)
}

// ValidatingAdmissionPolicyUpdate judges an update of a policy.
func ValidatingAdmissionPolicyUpdate(p, old *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	return append(updatedLoosely(&p.ObjectMeta, &old.ObjectMeta), validatingPolicySpec(p.Name, &p.Spec)...)
}

// ValidatingAdmissionPolicyStatusUpdate judges what the check of types found.
func ValidatingAdmissionPolicyStatusUpdate(p, _ *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("status")
	if p.Status.TypeChecking != nil {
		for i, w := range p.Status.TypeChecking.ExpressionWarnings {
			one := at.Child("typeChecking", "expressionWarnings").Index(i)
			errs = append(errs, required(one.Child("warning"), w.Warning)...)
			ref := strings.TrimSpace(w.FieldRef)
			if ref == "" {
				errs = append(errs, field.Required(one.Child("fieldRef"), ""))
			} else if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
				errs = append(errs, field.Invalid(one.Child("fieldRef"), ref, fmt.Sprintf("invalid JSONPath: %v", err)))
			}
		}
	}
	return append(errs, metavalidation.ValidateConditions(p.Status.Conditions, at.Child("conditions"))...)
}

// mostAnnotations is how many audit annotations a policy may have.
const mostAnnotations = 20

func validatingPolicySpec(name string, s *admissionregistrationv1.ValidatingAdmissionPolicySpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := policyFrame(p, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions)
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		for _, list := range []string{"validations", "auditAnnotations"} {
			errs = append(errs, field.Required(p.Child(list), "validations or auditAnnotations must contain at least one item"))
		}
	}
	for i, v := range s.Validations {
		errs = append(errs, validationText(p.Child("validations").Index(i), &v)...)
	}
	if len(s.AuditAnnotations) > mostAnnotations {
		errs = append(errs, field.Invalid(p.Child("auditAnnotations"), s.AuditAnnotations, fmt.Sprintf("must not have more than %d auditAnnotations", mostAnnotations)))
	}
	taken := names{}
	for i, a := range s.AuditAnnotations {
		at := p.Child("auditAnnotations").Index(i).Child("key")
		if name == "" {
			errs = append(errs, field.Invalid(at, a.Key, "requires metadata.name be non-empty"))
		} else {
			errs = append(errs, qualifiedName(at, name+"/"+a.Key)...)
		}
		if taken.take(a.Key) {
			errs = append(errs, field.Duplicate(at, a.Key))
		}
	}
	return errs
}

func validationText(p *field.Path, v *admissionregistrationv1.Validation) field.ErrorList {
	var errs field.ErrorList
	message := strings.TrimSpace(v.Message)
	switch {
	case v.Message != "" && message == "":
		errs = append(errs, field.Invalid(p.Child("message"), v.Message, "message must be non-empty if specified"))
	case strings.ContainsAny(message, "\n\r"):
		errs = append(errs, field.Invalid(p.Child("message"), v.Message, "message must not contain line breaks"))
	}
	if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
		errs = append(errs, field.Invalid(p.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
	}
	if r := v.Reason; r != nil {
		errs = append(errs, oneOf(p.Child("reason"), *r, metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
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
	at := p.Child("apiVersion")
	if k.APIVersion == "" {
		errs = append(errs, field.Required(at, ""))
	} else if gv, err := schema.ParseGroupVersion(k.APIVersion); err != nil {
		errs = append(errs, field.Invalid(at, k.APIVersion, err.Error()))
	} else {
		if gv.Group != "" {
			errs = append(errs, invalid(at, gv.Group, joined(validation.IsDNS1123Subdomain(gv.Group)))...)
		}
		if gv.Version == "" {
			errs = append(errs, field.Invalid(at, k.APIVersion, "version must be specified"))
		} else {
			errs = append(errs, invalid(at, gv.Version, joined(validation.IsDNS1035Label(gv.Version)))...)
		}
	}
	if k.Kind == "" {
		errs = append(errs, field.Required(p.Child("kind"), ""))
	} else if messages := validation.IsDNS1035Label(strings.ToLower(k.Kind)); len(messages) > 0 {
		errs = append(errs, field.Invalid(p.Child("kind"), k.Kind, "may have mixed case, but should otherwise match: "+strings.Join(messages, ",")))
	}
	return errs
}

// joined makes one message of several.
func joined(messages []string) []string {
	if len(messages) == 0 {
		return nil
	}
	return []string{strings.Join(messages, ",")}
}

func matchConditions(p *field.Path, all []admissionregistrationv1.MatchCondition) field.ErrorList {
	const most = 64
	var errs field.ErrorList
	if len(all) > most {
		errs = append(errs, field.TooMany(p, len(all), most))
	}
	seen := map[string]bool{}
	for i, c := range all {
		if strings.TrimSpace(c.Expression) == "" {
			errs = append(errs, field.Required(p.Index(i).Child("expression"), ""))
		}
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
	return append(createdLoosely(&b.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), validatingBindingSpec(&b.Spec)...)
}

// ValidatingAdmissionPolicyBindingUpdate judges an update of a binding.
func ValidatingAdmissionPolicyBindingUpdate(b, old *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	return append(updatedLoosely(&b.ObjectMeta, &old.ObjectMeta), validatingBindingSpec(&b.Spec)...)
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
		errs = append(errs, paramRef(p.Child("paramRef"), param)...)
	}
	if match != nil {
		errs = append(errs, matchResources(p.Child("matchResources"), match)...)
	}
	return errs
}

func paramRef(p *field.Path, r *admissionregistrationv1.ParamRef) field.ErrorList {
	var errs field.ErrorList
	const exclusive = "name and selector are mutually exclusive"
	if r.Name != "" {
		errs = append(errs, invalid(p.Child("name"), r.Name, path.ValidatePathSegmentName(r.Name, false))...)
	}
	if r.Selector != nil {
		errs = append(errs, metavalidation.ValidateLabelSelector(r.Selector, metavalidation.LabelSelectorValidationOptions{}, p.Child("selector"))...)
	}
	switch {
	case r.Name != "" && r.Selector != nil:
		errs = append(errs, field.Forbidden(p.Child("name"), exclusive), field.Forbidden(p.Child("selector"), exclusive))
	case r.Name == "" && r.Selector == nil:
		errs = append(errs, field.Required(p, "one of name or selector must be specified"))
	}
	var action admissionregistrationv1.ParameterNotFoundActionType
	if r.ParameterNotFoundAction != nil {
		action = *r.ParameterNotFoundAction
	}
	return append(errs, requiredOneOf(p.Child("parameterNotFoundAction"), action, admissionregistrationv1.DenyAction, admissionregistrationv1.AllowAction)...)
}

// MutatingAdmissionPolicyCreate judges a new policy, but for its expressions.
func MutatingAdmissionPolicyCreate(p *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	return append(createdLoosely(&p.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), mutatingPolicySpec(&p.Spec)...)
}

// MutatingAdmissionPolicyUpdate judges an update of a policy.
func MutatingAdmissionPolicyUpdate(p, old *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	errs := updatedLoosely(&p.ObjectMeta, &old.ObjectMeta)
	if equality.Semantic.DeepEqual(p.Spec, old.Spec) {
		return errs
	}
	return append(errs, mutatingPolicySpec(&p.Spec)...)
}

func mutatingPolicySpec(s *admissionregistrationv1.MutatingAdmissionPolicySpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := policyFrame(p, s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions)
	if s.MatchConstraints != nil {
		errs = append(errs, mutableOperations(p.Child("matchConstraints", "resourceRules", "operations"), s.MatchConstraints.ResourceRules)...)
	}
	errs = append(errs, requiredOneOf(p.Child("reinvocationPolicy"), s.ReinvocationPolicy, admissionregistrationv1.IfNeededReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)...)
	at := p.Child("mutations")
	if len(s.Mutations) == 0 {
		errs = append(errs, field.Required(at, "mutations must contain at least one item"))
	}
	for i, m := range s.Mutations {
		errs = append(errs, requiredOneOf(at.Index(i).Child("patchType"), m.PatchType, patchTypes()...)...)
		errs = append(errs, patches(at.Index(i), &m)...)
	}
	return errs
}

// mutableOperations wants only operations that send an object. The errors do not say which rule is at fault.
func mutableOperations(p *field.Path, rules []admissionregistrationv1.NamedRuleWithOperations) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		for _, o := range rules[i].Operations {
			errs = append(errs, oneOf(p, o, admissionregistrationv1.OperationAll, admissionregistrationv1.Connect, admissionregistrationv1.Create, admissionregistrationv1.Update)...)
		}
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
			errs = append(errs, field.Required(p.Child(one.name), "must be specified when patchType is "+string(m.PatchType)))
		case one.set && !one.wants && slices.Contains(patchTypes(), m.PatchType):
			errs = append(errs, field.Invalid(p.Child(one.name), "{"+one.name+"}", "must not be specified when patchType is "+string(m.PatchType)))
		}
	}
	return errs
}

func patchTypes() []admissionregistrationv1.PatchType {
	return []admissionregistrationv1.PatchType{admissionregistrationv1.PatchTypeApplyConfiguration, admissionregistrationv1.PatchTypeJSONPatch}
}

// MutatingAdmissionPolicyBindingCreate judges a new binding.
func MutatingAdmissionPolicyBindingCreate(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(createdLoosely(&b.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), mutatingBindingSpec(&b.Spec)...)
}

// MutatingAdmissionPolicyBindingUpdate judges an update of a binding.
func MutatingAdmissionPolicyBindingUpdate(b, old *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(updatedLoosely(&b.ObjectMeta, &old.ObjectMeta), mutatingBindingSpec(&b.Spec)...)
}

func mutatingBindingSpec(s *admissionregistrationv1.MutatingAdmissionPolicyBindingSpec) field.ErrorList {
	p := field.NewPath("spec")
	errs := bindingFrame(p, s.PolicyName, s.ParamRef, s.MatchResources)
	if s.MatchResources != nil {
		errs = append(errs, mutableOperations(p.Child("matchResources", "resourceRules", "operations"), s.MatchResources.ResourceRules)...)
	}
	return errs
}
