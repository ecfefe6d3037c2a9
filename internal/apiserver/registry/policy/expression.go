package policy

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	mutatingpatch "k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// expressions compiles what a policy says in CEL, and collects what does not compile. It makes its environment, which
// takes some ten milliseconds, for each policy that is written: nobody writes many.
type expressions struct {
	compiler *plugincel.CompositedCompiler
	options  plugincel.OptionalVariableDeclarations
	errs     field.ErrorList
}

func newExpressions(options plugincel.OptionalVariableDeclarations) *expressions {
	e := &expressions{options: options}
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		e.errs = append(e.errs, field.InternalError(nil, fmt.Errorf("make CEL environment: %w", err)))
		return e
	}
	e.compiler = compiler
	return e
}

func (e *expressions) check(p *field.Path, text string, accessor plugincel.ExpressionAccessor) {
	if text == "" {
		e.errs = append(e.errs, field.Required(p, "expression is not specified"))
		return
	}
	if e.compiler == nil {
		return
	}
	if r := e.compiler.CompileCELExpression(accessor, e.options, environment.NewExpressions); r.Error != nil {
		e.errs = append(e.errs, field.Invalid(p, text, r.Error.Detail))
	}
}

func (e *expressions) variables(p *field.Path, all []admissionregistrationv1.Variable) {
	seen := map[string]bool{}
	for i, v := range all {
		at := p.Index(i)
		if seen[v.Name] {
			e.errs = append(e.errs, field.Duplicate(at.Child("name"), v.Name))
		}
		seen[v.Name] = true
		switch {
		case v.Name == "":
			e.errs = append(e.errs, field.Required(at.Child("name"), "name is not specified"))
		case v.Expression == "":
			e.errs = append(e.errs, field.Required(at.Child("expression"), "expression is not specified"))
		case e.compiler != nil:
			r := e.compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, e.options, environment.NewExpressions)
			if r.Error != nil {
				e.errs = append(e.errs, field.Invalid(at.Child("expression"), v.Expression, r.Error.Detail))
			}
		}
	}
}

func (e *expressions) conditions(p *field.Path, all []admissionregistrationv1.MatchCondition) {
	for i := range all {
		e.check(p.Index(i).Child("expression"), all[i].Expression, (*matchconditions.MatchCondition)(&all[i]))
	}
}

func (e *expressions) validations(p *field.Path, all []admissionregistrationv1.Validation) {
	for i, v := range all {
		at := p.Index(i)
		e.check(at.Child("expression"), v.Expression, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		if v.MessageExpression != "" {
			e.check(at.Child("messageExpression"), v.MessageExpression, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression})
		}
	}
}

func (e *expressions) annotations(p *field.Path, all []admissionregistrationv1.AuditAnnotation) {
	for i, a := range all {
		e.check(p.Index(i).Child("valueExpression"), a.ValueExpression, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression})
	}
}

func (e *expressions) mutations(p *field.Path, all []admissionregistrationv1.Mutation) {
	for i, m := range all {
		at := p.Index(i)
		switch {
		case m.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			e.check(at.Child("applyConfiguration", "expression"), m.ApplyConfiguration.Expression, &mutatingpatch.ApplyConfigurationCondition{Expression: m.ApplyConfiguration.Expression})
		case m.PatchType == admissionregistrationv1.PatchTypeJSONPatch && m.JSONPatch != nil:
			e.check(at.Child("jsonPatch", "expression"), m.JSONPatch.Expression, &mutatingpatch.JSONPatchCondition{Expression: m.JSONPatch.Expression})
		}
	}
}

func validatingExpressions(s *admissionregistrationv1.ValidatingAdmissionPolicySpec) field.ErrorList {
	e := newExpressions(plugincel.OptionalVariableDeclarations{HasParams: s.ParamKind != nil, HasAuthorizer: true})
	p := field.NewPath("spec")
	e.variables(p.Child("variables"), s.Variables)
	e.conditions(p.Child("matchConditions"), s.MatchConditions)
	e.validations(p.Child("validations"), s.Validations)
	e.annotations(p.Child("auditAnnotations"), s.AuditAnnotations)
	return e.errs
}

func mutatingExpressions(s *admissionregistrationv1.MutatingAdmissionPolicySpec) field.ErrorList {
	e := newExpressions(plugincel.OptionalVariableDeclarations{HasParams: s.ParamKind != nil, HasAuthorizer: true, HasPatchTypes: true})
	p := field.NewPath("spec")
	e.variables(p.Child("variables"), s.Variables)
	e.conditions(p.Child("matchConditions"), s.MatchConditions)
	e.mutations(p.Child("mutations"), s.Mutations)
	return e.errs
}

func webhookExpressions[T any](webhooks []T, conditions func(*T) []admissionregistrationv1.MatchCondition) (errs field.ErrorList) {
	for i := range webhooks {
		all := conditions(&webhooks[i])
		if len(all) == 0 {
			continue
		}
		e := newExpressions(plugincel.OptionalVariableDeclarations{HasAuthorizer: true})
		e.conditions(field.NewPath("webhooks").Index(i).Child("matchConditions"), all)
		errs = append(errs, e.errs...)
	}
	return errs
}
