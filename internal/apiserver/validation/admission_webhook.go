package validation

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/webhook"
)

// hook is what both kinds of webhooks say.
type hook struct {
	name                string
	client              *admissionregistrationv1.WebhookClientConfig
	rules               []admissionregistrationv1.RuleWithOperations
	failure             *admissionregistrationv1.FailurePolicyType
	match               *admissionregistrationv1.MatchPolicyType
	namespaces, objects *metav1.LabelSelector
	sideEffects         *admissionregistrationv1.SideEffectClass
	timeout             *int32
	versions            []string
	conditions          []admissionregistrationv1.MatchCondition
	reinvocation        *admissionregistrationv1.ReinvocationPolicyType
}

// ValidatingWebhookConfigurationCreate judges new webhooks.
func ValidatingWebhookConfigurationCreate(c *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	return append(createdLoosely(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), hooks(validatingHooks(c))...)
}

// ValidatingWebhookConfigurationUpdate judges an update of webhooks.
func ValidatingWebhookConfigurationUpdate(c, old *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	return append(updatedLoosely(&c.ObjectMeta, &old.ObjectMeta), hooks(validatingHooks(c))...)
}

func validatingHooks(c *admissionregistrationv1.ValidatingWebhookConfiguration) []hook {
	var all []hook
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		all = append(all, hook{w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.SideEffects, w.TimeoutSeconds, w.AdmissionReviewVersions, w.MatchConditions, nil})
	}
	return all
}

// MutatingWebhookConfigurationCreate judges new webhooks.
func MutatingWebhookConfigurationCreate(c *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	return append(createdLoosely(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), hooks(mutatingHooks(c))...)
}

// MutatingWebhookConfigurationUpdate judges an update of webhooks.
func MutatingWebhookConfigurationUpdate(c, old *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	return append(updatedLoosely(&c.ObjectMeta, &old.ObjectMeta), hooks(mutatingHooks(c))...)
}

func mutatingHooks(c *admissionregistrationv1.MutatingWebhookConfiguration) []hook {
	var all []hook
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		all = append(all, hook{w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.SideEffects, w.TimeoutSeconds, w.AdmissionReviewVersions, w.MatchConditions, w.ReinvocationPolicy})
	}
	return all
}

func hooks(all []hook) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i := range all {
		p := field.NewPath("webhooks").Index(i)
		errs = append(errs, all[i].check(p)...)
		if all[i].name != "" && taken.take(all[i].name) {
			errs = append(errs, field.Duplicate(p.Child("name"), all[i].name))
		}
	}
	return errs
}

func (h *hook) check(p *field.Path) field.ErrorList {
	errs := validation.IsFullyQualifiedName(p.Child("name"), h.name)
	errs = append(errs, reviewVersions(p.Child("admissionReviewVersions"), h.versions)...)
	for i := range h.rules {
		errs = append(errs, ruleWithOperations(p.Child("rules").Index(i), &h.rules[i])...)
	}
	if h.failure != nil {
		errs = append(errs, oneOf(p.Child("failurePolicy"), *h.failure, admissionregistrationv1.Fail, admissionregistrationv1.Ignore)...)
	}
	if h.match != nil {
		errs = append(errs, oneOf(p.Child("matchPolicy"), *h.match, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)...)
	}
	if h.sideEffects == nil {
		errs = append(errs, field.Required(p.Child("sideEffects"), "must specify one of None, NoneOnDryRun"))
	} else {
		errs = append(errs, oneOf(p.Child("sideEffects"), *h.sideEffects, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun)...)
	}
	if h.timeout != nil && (*h.timeout < 1 || *h.timeout > 30) {
		errs = append(errs, field.Invalid(p.Child("timeoutSeconds"), *h.timeout, "the timeout value must be between 1 and 30 seconds"))
	}
	if h.reinvocation != nil {
		errs = append(errs, oneOf(p.Child("reinvocationPolicy"), *h.reinvocation, admissionregistrationv1.NeverReinvocationPolicy, admissionregistrationv1.IfNeededReinvocationPolicy)...)
	}
	errs = append(errs, selectors(p, h.namespaces, h.objects)...)
	errs = append(errs, clientConfig(p.Child("clientConfig"), h.client)...)
	return append(errs, matchConditions(p.Child("matchConditions"), h.conditions)...)
}

func reviewVersions(p *field.Path, versions []string) field.ErrorList {
	known := []string{"v1", "v1beta1"}
	if len(versions) == 0 {
		return field.ErrorList{field.Required(p, "must specify one of "+strings.Join(known, ", "))}
	}
	var errs field.ErrorList
	taken := names{}
	for i, v := range versions {
		if taken.take(v) {
			errs = append(errs, field.Invalid(p.Index(i), v, "duplicate version"))
			continue
		}
		errs = append(errs, invalid(p.Index(i), v, validation.IsDNS1035Label(v))...)
	}
	if !slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(known, v) }) {
		errs = append(errs, field.Invalid(p, versions, "must include at least one of "+strings.Join(known, ", ")))
	}
	return errs
}

func clientConfig(p *field.Path, c *admissionregistrationv1.WebhookClientConfig) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{field.Required(p, "exactly one of url or service is required")}
	case c.URL != nil:
		return webhook.ValidateWebhookURL(p.Child("url"), *c.URL, true)
	default:
		var port int32
		if c.Service.Port != nil {
			port = *c.Service.Port
		}
		return webhook.ValidateWebhookService(p.Child("service"), c.Service.Name, c.Service.Namespace, c.Service.Path, port)
	}
}

func selectors(p *field.Path, namespaces, objects *metav1.LabelSelector) field.ErrorList {
	var errs field.ErrorList
	for name, s := range map[string]*metav1.LabelSelector{"namespaceSelector": namespaces, "objectSelector": objects} {
		if s != nil {
			errs = append(errs, metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, p.Child(name))...)
		}
	}
	return errs
}

func matchResources(p *field.Path, m *admissionregistrationv1.MatchResources) field.ErrorList {
	errs := selectors(p, m.NamespaceSelector, m.ObjectSelector)
	for _, one := range []struct {
		name string
		set  bool
	}{{"namespaceSelector", m.NamespaceSelector != nil}, {"objectSelector", m.ObjectSelector != nil}, {"matchPolicy", m.MatchPolicy != nil}} {
		if !one.set {
			errs = append(errs, field.Required(p.Child(one.name), ""))
		}
	}
	if m.MatchPolicy != nil {
		errs = append(errs, oneOf(p.Child("matchPolicy"), *m.MatchPolicy, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)...)
	}
	errs = append(errs, namedRules(p.Child("resourceRules"), m.ResourceRules)...)
	return append(errs, namedRules(p.Child("excludeResourceRules"), m.ExcludeResourceRules)...)
}

func namedRules(p *field.Path, rules []admissionregistrationv1.NamedRuleWithOperations) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		taken := names{}
		for j, name := range rules[i].ResourceNames {
			at := p.Index(i).Child("resourceNames").Index(j)
			errs = append(errs, invalid(at, name, path.ValidatePathSegmentName(name, false))...)
			if taken.take(name) {
				errs = append(errs, field.Duplicate(at, name))
			}
		}
		errs = append(errs, ruleWithOperations(p.Index(i), &rules[i].RuleWithOperations)...)
	}
	return errs
}

func ruleWithOperations(p *field.Path, r *admissionregistrationv1.RuleWithOperations) field.ErrorList {
	errs := wildcard(p.Child("operations"), r.Operations, "operations")
	for i, o := range r.Operations {
		errs = append(errs, oneOf(p.Child("operations").Index(i), o, admissionregistrationv1.OperationAll, admissionregistrationv1.Connect,
			admissionregistrationv1.Create, admissionregistrationv1.Delete, admissionregistrationv1.Update)...)
	}
	errs = append(errs, wildcard(p.Child("apiGroups"), r.APIGroups, "API groups")...)
	errs = append(errs, wildcard(p.Child("apiVersions"), r.APIVersions, "API versions")...)
	for i, v := range r.APIVersions {
		errs = append(errs, required(p.Child("apiVersions").Index(i), v)...)
	}
	errs = append(errs, ruleResources(p.Child("resources"), r.Resources)...)
	if r.Scope != nil {
		errs = append(errs, oneOf(p.Child("scope"), *r.Scope, admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope)...)
	}
	return errs
}

// wildcard wants a list that is not empty, and "*" to stand alone.
func wildcard[T ~string](p *field.Path, list []T, what string) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(p, "")}
	}
	if len(list) > 1 && slices.Contains(list, "*") {
		return field.ErrorList{field.Invalid(p, list, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

// ruleResources wants no resource to be covered by a wildcard before it.
func ruleResources(p *field.Path, list []string) field.ErrorList {
	var errs field.ErrorList
	if len(list) == 0 {
		errs = append(errs, field.Required(p, ""))
	}
	anySub, anyResource, plain := names{}, names{}, false
	for i, full := range list {
		resource, sub, nested := strings.Cut(full, "/")
		switch {
		case full == "":
			errs = append(errs, field.Required(p.Index(i), ""))
			continue
		case !nested:
			plain = full != "*"
			continue
		}
		if anySub[resource] {
			errs = append(errs, field.Invalid(p.Index(i), full, fmt.Sprintf("if '%s/*' is present, must not specify %s", resource, full)))
		}
		if anyResource[sub] {
			errs = append(errs, field.Invalid(p.Index(i), full, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, full)))
		}
		if sub == "*" {
			anySub.take(resource)
		}
		if resource == "*" {
			anyResource.take(sub)
		}
	}
	if len(list) > 1 && slices.Contains(list, "*/*") {
		errs = append(errs, field.Invalid(p, list, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(list, "*") {
		errs = append(errs, field.Invalid(p, list, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}
