package policy

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	mutatingpatch "k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// longestAnnotation, in bytes, bounds the expression of an audit annotation's value.
const longestAnnotation = 5 << 10

// expressions compiles what a policy says in CEL, and collects what does not compile. It makes its environment, which
// takes some ten milliseconds, for each policy that is written: nobody writes many.
type expressions struct {
	environment *environment.EnvSet
	// plain knows no variables; compiler knows those of the policy, if it has any.
	plain, compiler plugincel.Compiler
	options         plugincel.OptionalVariableDeclarations
	errs            field.ErrorList
}

func newExpressions(options plugincel.OptionalVariableDeclarations) *expressions {
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	plain := plugincel.NewCompiler(base)
	return &expressions{environment: base, plain: plain, compiler: plain, options: options}
}

func (e *expressions) check(p *field.Path, text string, accessor plugincel.ExpressionAccessor) {
	e.compile(p, text, accessor, e.compiler, e.options)
}

func (e *expressions) compile(p *field.Path, text string, accessor plugincel.ExpressionAccessor, compiler plugincel.Compiler, options plugincel.OptionalVariableDeclarations) {
	if r := compiler.CompileCELExpression(accessor, options, environment.NewExpressions); r.Error != nil {
		e.errs = append(e.errs, refusal(p, text, r.Error))
	}
}

// refusal is the error of an expression that does not compile.
func refusal(p *field.Path, text string, err *apiservercel.Error) *field.Error {
	switch err.Type {
	case apiservercel.ErrorTypeRequired:
		return field.Required(p, err.Detail)
	case apiservercel.ErrorTypeInvalid:
		return field.Invalid(p, text, err.Detail)
	}
	return field.InternalError(p, err)
}

// given says Required of an expression of blanks alone.
func (e *expressions) given(p *field.Path, text, detail string) bool {
	if strings.TrimSpace(text) != "" {
		return true
	}
	e.errs = append(e.errs, field.Required(p, detail))
	return false
}

const noExpression = "expression is not specified"

func (e *expressions) variables(p *field.Path, all []admissionregistrationv1.Variable) {
	if len(all) == 0 {
		return
	}
	compiler, err := plugincel.NewCompositedCompiler(e.environment)
	if err != nil {
		e.errs = append(e.errs, field.InternalError(p, fmt.Errorf("make CEL environment: %w", err)))
		return
	}
	e.compiler = compiler
	for i, v := range all {
		at := p.Index(i)
		if e.given(at.Child("name"), v.Name, "name is not specified") && !isIdentifier(v.Name) {
			e.errs = append(e.errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if !e.given(at.Child("expression"), v.Expression, noExpression) {
			continue
		}
		r := compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, e.options, environment.NewExpressions)
		if r.Error != nil {
			e.errs = append(e.errs, refusal(at.Child("expression"), v.Expression, r.Error))
		}
	}
}

// isIdentifier tells whether CEL takes name for one, and not for a word of its own.
func isIdentifier(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return !slices.Contains([]string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
		"loop", "package", "namespace", "return", "var", "void", "while",
	}, name)
}

// conditions knows no variables. That an expression is missing is judged with the rest of the condition.
func (e *expressions) conditions(p *field.Path, all []admissionregistrationv1.MatchCondition) {
	options := plugincel.OptionalVariableDeclarations{HasParams: e.options.HasParams, HasAuthorizer: true}
	for i := range all {
		if text := strings.TrimSpace(all[i].Expression); text != "" {
			e.compile(p.Index(i).Child("expression"), text, &matchconditions.MatchCondition{Name: all[i].Name, Expression: text}, e.plain, options)
		}
	}
}

func (e *expressions) validations(p *field.Path, all []admissionregistrationv1.Validation) {
	options := plugincel.OptionalVariableDeclarations{HasParams: e.options.HasParams}
	for i, v := range all {
		at := p.Index(i)
		if e.given(at.Child("expression"), v.Expression, noExpression) {
			e.check(at.Child("expression"), v.Expression, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
		}
		if strings.TrimSpace(v.MessageExpression) != "" {
			e.compile(at.Child("messageExpression"), v.MessageExpression, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, e.compiler, options)
		}
	}
}

func (e *expressions) annotations(p *field.Path, all []admissionregistrationv1.AuditAnnotation) {
	for i, a := range all {
		at, text := p.Index(i).Child("valueExpression"), strings.TrimSpace(a.ValueExpression)
		switch {
		case !e.given(at, text, "valueExpression is not specified"):
		case len(text) > longestAnnotation:
			e.errs = append(e.errs, field.Required(at, fmt.Sprintf("must not exceed %d bytes in length", longestAnnotation)))
		default:
			e.check(at, a.ValueExpression, &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: text})
		}
	}
}

func (e *expressions) mutations(p *field.Path, all []admissionregistrationv1.Mutation) {
	for i, m := range all {
		at := p.Index(i)
		switch {
		case m.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			text, one := strings.TrimSpace(m.ApplyConfiguration.Expression), at.Child("applyConfiguration", "expression")
			if e.given(one, text, "") {
				e.check(one, text, &mutatingpatch.ApplyConfigurationCondition{Expression: text})
			}
		case m.PatchType == admissionregistrationv1.PatchTypeJSONPatch && m.JSONPatch != nil:
			text, one := strings.TrimSpace(m.JSONPatch.Expression), at.Child("jsonPatch", "expression")
			if e.given(one, text, "") {
				e.check(one, text, &mutatingpatch.JSONPatchCondition{Expression: text})
			}
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
	e := newExpressions(plugincel.OptionalVariableDeclarations{HasParams: s.ParamKind != nil, HasAuthorizer: true})
	p := field.NewPath("spec")
	e.variables(p.Child("variables"), s.Variables)
	e.conditions(p.Child("matchConditions"), s.MatchConditions)
	e.options.HasPatchTypes = true
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
