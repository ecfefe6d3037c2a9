package validation_test

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// TestAdmissionRules covers the creation of policies, bindings and webhooks: the refused fields, none if valid.
func TestAdmissionRules(t *testing.T) {
	vap := creating(defaults.SetValidatingAdmissionPolicy, validation.ValidatingAdmissionPolicyCreate)
	vapb := creating(defaults.SetValidatingAdmissionPolicyBinding, validation.ValidatingAdmissionPolicyBindingCreate)
	mutating := creating(defaults.SetMutatingAdmissionPolicy, validation.MutatingAdmissionPolicyCreate)
	mapb := creating(defaults.SetMutatingAdmissionPolicyBinding, validation.MutatingAdmissionPolicyBindingCreate)
	hooks := creating(defaults.SetValidatingWebhookConfiguration, validation.ValidatingWebhookConfigurationCreate)
	status := creating(nil, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
		return validation.ValidatingAdmissionPolicyStatusUpdate(p, p)
	})
	rule := func(resources, more string) string {
		return `{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":[` + resources + `]` + more + `}`
	}
	constraints := func(r string) string { return `"matchConstraints":{"resourceRules":[` + r + `]}` }
	pods := constraints(rule(`"pods"`, ``))
	policy := func(spec string) string { return `{"metadata":{"name":"n"},"spec":{` + spec + `}}` }
	hook := func(more string) string {
		return `{"metadata":{"name":"n"},"webhooks":[{"name":"a.example.com","sideEffects":"None","clientConfig":{"url":"https://h/"},"admissionReviewVersions":["v1"]` + more + `}]}`
	}
	resources := func(list string) string { return hook(`,"rules":[` + rule(list, ``) + `]`) }
	const p, w = "spec.", "webhooks[0]."
	for name, c := range map[string]struct {
		check      func(*testing.T, string) field.ErrorList
		body, want string
	}{
		"policy":               {vap, policy(pods + `,"validations":[{"expression":"true"}]`), ""},
		"policy empty":         {vap, policy(`"failurePolicy":"X"`), "auditAnnotations,failurePolicy,matchConstraints,validations"},
		"policy reason":        {vap, policy(pods + `,"validations":[{"expression":"true","reason":"Unauthorized"},{"expression":"true","reason":"Forbidden"}]`), "validations[0].reason"},
		"policy texts":         {vap, policy(pods + `,"validations":[{"expression":"true","message":" ","messageExpression":" "},{"expression":"true","message":"a\nb"}]`), "validations[0].message,validations[0].messageExpression,validations[1].message"},
		"policy annotations":   {vap, policy(pods + `,"auditAnnotations":[{"key":"a","valueExpression":"''"},{"key":"a","valueExpression":"''"},{"key":"a/b","valueExpression":"''"}]`), "auditAnnotations[1].key,auditAnnotations[2].key"},
		"policy params":        {vap, policy(pods + `,"validations":[{"expression":"true"}],"paramKind":{"apiVersion":"A_/V1","kind":"9"}`), "paramKind.apiVersion,paramKind.kind"},
		"policy no params":     {vap, policy(pods + `,"validations":[{"expression":"true"}],"paramKind":{}`), "paramKind.apiVersion,paramKind.kind"},
		"policy conditions":    {vap, policy(pods + `,"validations":[{"expression":"true"}],"matchConditions":[{"name":"a","expression":"true"},{"name":"a","expression":"true"},{"expression":" "},{"name":"a b","expression":"true"}]`), "matchConditions[1].name,matchConditions[2].expression,matchConditions[2].name,matchConditions[3].name"},
		"policy names":         {vap, policy(constraints(rule(`"pods"`, `,"resourceNames":["a","a","b/c"]`)) + `,"validations":[{"expression":"true"}]`), "matchConstraints.resourceRules[0].resourceNames[1],matchConstraints.resourceRules[0].resourceNames[2]"},
		"status":               {status, `{"status":{"typeChecking":{"expressionWarnings":[{"fieldRef":"spec.validations[0].expression","warning":"w"},{},{"fieldRef":"spec[","warning":"w"}]}}}`, "status.typeChecking.expressionWarnings[1].fieldRef,status.typeChecking.expressionWarnings[1].warning,status.typeChecking.expressionWarnings[2].fieldRef"},
		"binding":              {vapb, policy(`"policyName":"p","validationActions":["Deny","Audit"]`), ""},
		"binding actions":      {vapb, policy(`"policyName":"p","validationActions":["Deny","Warn","Deny","X"]`), "validationActions,validationActions[2],validationActions[3]"},
		"binding empty":        {vapb, policy(``), "policyName,validationActions"},
		"binding params":       {vapb, policy(`"policyName":"p","validationActions":["Deny"],"paramRef":{"name":"a/b","selector":{"matchLabels":{"-":""}}}`), "paramRef.name,paramRef.parameterNotFoundAction,paramRef.selector,paramRef.selector.matchLabels"},
		"binding no params":    {vapb, policy(`"policyName":"p","validationActions":["Deny"],"paramRef":{"parameterNotFoundAction":"X"}`), "paramRef,paramRef.parameterNotFoundAction"},
		"mutation":             {mutating, policy(pods + `,"reinvocationPolicy":"Never","mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[]"}}]`), ""},
		"mutation of deletion": {mutating, policy(strings.Replace(pods, "CREATE", "DELETE", 1) + `,"reinvocationPolicy":"X","mutations":[{"patchType":"JSONPatch","applyConfiguration":{}},{"jsonPatch":{}},{"patchType":"X"}]`), "matchConstraints.resourceRules.operations,mutations[0].applyConfiguration,mutations[0].jsonPatch,mutations[1].patchType,mutations[2].patchType,reinvocationPolicy"},
		"mutation binding":     {mapb, policy(`"policyName":"p","matchResources":{"resourceRules":[` + strings.Replace(rule(`"pods"`, ``), "CREATE", "DELETE", 1) + `]}`), "matchResources.resourceRules.operations"},
		"hook":                 {hooks, resources(`"pods","pods/exec"`), ""},
		"hook versions":        {hooks, hook(`,"admissionReviewVersions":["v1","v1","V"]`), w + "admissionReviewVersions[1]," + w + "admissionReviewVersions[2]"},
		"hook old version":     {hooks, hook(`,"admissionReviewVersions":["v2"]`), w + "admissionReviewVersions"},
		"hook wildcards":       {hooks, resources(`"pods/*","pods/exec","*/scale","a/scale",""`), w + "rules[0].resources[1]," + w + "rules[0].resources[3]," + w + "rules[0].resources[4]"},
		"hook everything":      {hooks, resources(`"*/*","pods"`), w + "rules[0].resources"},
		"hook all and one":     {hooks, resources(`"*","pods"`), w + "rules[0].resources"},
		"hook all and subs":    {hooks, resources(`"*","pods/exec"`), ""},
		"hook operations":      {hooks, strings.Replace(resources(`"pods"`), `["CREATE"]`, `["*","X"]`, 1), w + "rules[0].operations," + w + "rules[0].operations[1]"},
		"hook bare":            {hooks, `{"metadata":{"name":"n"},"webhooks":[{"name":"a"},{"name":"a"}]}`, w + "admissionReviewVersions," + w + "clientConfig," + w + "name," + w + "sideEffects,webhooks[1].admissionReviewVersions,webhooks[1].clientConfig,webhooks[1].name,webhooks[1].sideEffects"},
		"hook bounds":          {hooks, hook(`,"timeoutSeconds":31,"failurePolicy":"X","matchPolicy":"X","sideEffects":"Some"`), w + "failurePolicy," + w + "matchPolicy," + w + "sideEffects," + w + "timeoutSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range c.check(t, c.body) {
				got = append(got, strings.TrimPrefix(e.Field, p))
			}
			slices.Sort(got)
			if joined := strings.Join(slices.Compact(got), ","); joined != c.want {
				t.Errorf("refused %q, want %q", joined, c.want)
			}
		})
	}
}
