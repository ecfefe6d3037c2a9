package validation

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
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
	return append(created(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), hooks(validatingHooks(c))...)
}

// ValidatingWebhookConfigurationUpdate judges an update of webhooks.
func ValidatingWebhookConfigurationUpdate(c, old *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	return append(updated(&c.ObjectMeta, &old.ObjectMeta), hooks(validatingHooks(c))...)
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
	return append(created(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain), hooks(mutatingHooks(c))...)
}

// MutatingWebhookConfigurationUpdate judges an update of webhooks.
func MutatingWebhookConfigurationUpdate(c, old *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	return append(updated(&c.ObjectMeta, &old.ObjectMeta), hooks(mutatingHooks(c))...)
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
	seen := map[string]bool{}
	for i := range all {
		p := field.NewPath("webhooks").Index(i)
		errs = append(errs, all[i].check(p)...)
		if seen[all[i].name] {
			errs = append(errs, field.Duplicate(p.Child("name"), all[i].name))
		}
		seen[all[i].name] = true
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
	var errs field.ErrorList
	if len(versions) == 0 {
		return field.ErrorList{field.Required(p, "must specify one of v1, v1beta1")}
	}
	usable := false
	for i, v := range versions {
		errs = append(errs, invalid(p.Index(i), v, validation.IsDNS1035Label(v))...)
		if slices.Contains(versions[:i], v) {
			errs = append(errs, field.Invalid(p.Index(i), v, "duplicate version"))
		}
		usable = usable || slices.Contains(known, v)
	}
	if !usable {
		errs = append(errs, field.Invalid(p, versions, "must include at least one of v1, v1beta1"))
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
	if m.MatchPolicy != nil {
		errs = append(errs, oneOf(p.Child("matchPolicy"), *m.MatchPolicy, admissionregistrationv1.Equivalent, admissionregistrationv1.Exact)...)
	}
	for name, rules := range map[string][]admissionregistrationv1.NamedRuleWithOperations{"resourceRules": m.ResourceRules, "excludeResourceRules": m.ExcludeResourceRules} {
		for i := range rules {
			errs = append(errs, ruleWithOperations(p.Child(name).Index(i), &rules[i].RuleWithOperations)...)
		}
	}
	return errs
}

func ruleWithOperations(p *field.Path, r *admissionregistrationv1.RuleWithOperations) field.ErrorList {
	var errs field.ErrorList
	if len(r.Operations) == 0 {
		errs = append(errs, field.Required(p.Child("operations"), ""))
	}
	if len(r.Operations) > 1 && slices.Contains(r.Operations, admissionregistrationv1.OperationAll) {
		errs = append(errs, field.Invalid(p.Child("operations"), r.Operations, "if '*' is present, must not specify other operations"))
	}
	for i, o := range r.Operations {
		errs = append(errs, oneOf(p.Child("operations").Index(i), o, admissionregistrationv1.OperationAll, admissionregistrationv1.Create,
			admissionregistrationv1.Update, admissionregistrationv1.Delete, admissionregistrationv1.Connect)...)
	}
	for name, list := range map[string][]string{"apiGroups": r.APIGroups, "apiVersions": r.APIVersions, "resources": r.Resources} {
		at := p.Child(name)
		if len(list) == 0 {
			errs = append(errs, field.Required(at, ""))
		}
		if len(list) > 1 && slices.Contains(list, "*") && name != "resources" {
			errs = append(errs, field.Invalid(at, list, "if '*' is present, must not specify other "+map[string]string{"apiGroups": "API groups", "apiVersions": "API versions"}[name]))
		}
		for i, v := range list {
			if v == "" && name != "apiGroups" {
				errs = append(errs, field.Required(at.Index(i), ""))
			}
		}
	}
	if r.Scope != nil {
		errs = append(errs, oneOf(p.Child("scope"), *r.Scope, admissionregistrationv1.AllScopes, admissionregistrationv1.ClusterScope, admissionregistrationv1.NamespacedScope)...)
	}
	return errs
}
