package defaults

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	webhookSeconds = 10
	webhookPort    = 443
)

// registerAdmission adds the defaults of policies and webhooks.
func registerAdmission(scheme *runtime.Scheme) {
	add(scheme, SetValidatingAdmissionPolicy, func(l *admissionregistrationv1.ValidatingAdmissionPolicyList) []admissionregistrationv1.ValidatingAdmissionPolicy {
		return l.Items
	})
	add(scheme, SetValidatingAdmissionPolicyBinding, func(l *admissionregistrationv1.ValidatingAdmissionPolicyBindingList) []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
		return l.Items
	})
	add(scheme, SetMutatingAdmissionPolicy, func(l *admissionregistrationv1.MutatingAdmissionPolicyList) []admissionregistrationv1.MutatingAdmissionPolicy {
		return l.Items
	})
	add(scheme, SetMutatingAdmissionPolicyBinding, func(l *admissionregistrationv1.MutatingAdmissionPolicyBindingList) []admissionregistrationv1.MutatingAdmissionPolicyBinding {
		return l.Items
	})
	add(scheme, SetValidatingWebhookConfiguration, func(l *admissionregistrationv1.ValidatingWebhookConfigurationList) []admissionregistrationv1.ValidatingWebhookConfiguration {
		return l.Items
	})
	add(scheme, SetMutatingWebhookConfiguration, func(l *admissionregistrationv1.MutatingWebhookConfigurationList) []admissionregistrationv1.MutatingWebhookConfiguration {
		return l.Items
	})
}

// SetValidatingAdmissionPolicy fills in what a policy leaves open.
func SetValidatingAdmissionPolicy(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
	failurePolicy(&p.Spec.FailurePolicy)
	matchResources(p.Spec.MatchConstraints)
}

// SetValidatingAdmissionPolicyBinding fills in what a binding leaves open.
func SetValidatingAdmissionPolicyBinding(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	matchResources(b.Spec.MatchResources)
}

// SetMutatingAdmissionPolicy fills in what a policy leaves open.
func SetMutatingAdmissionPolicy(p *admissionregistrationv1.MutatingAdmissionPolicy) {
	failurePolicy(&p.Spec.FailurePolicy)
	matchResources(p.Spec.MatchConstraints)
}

// SetMutatingAdmissionPolicyBinding fills in what a binding leaves open.
func SetMutatingAdmissionPolicyBinding(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) {
	matchResources(b.Spec.MatchResources)
}

// SetValidatingWebhookConfiguration fills in what webhooks leave open.
func SetValidatingWebhookConfiguration(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		failurePolicy(&w.FailurePolicy)
		matching(&w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector)
		timeout(&w.TimeoutSeconds)
		service(w.ClientConfig.Service)
		scopes(w.Rules)
	}
}

// SetMutatingWebhookConfiguration fills in what webhooks leave open.
func SetMutatingWebhookConfiguration(c *admissionregistrationv1.MutatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		failurePolicy(&w.FailurePolicy)
		matching(&w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector)
		timeout(&w.TimeoutSeconds)
		service(w.ClientConfig.Service)
		scopes(w.Rules)
		if w.ReinvocationPolicy == nil {
			never := admissionregistrationv1.NeverReinvocationPolicy
			w.ReinvocationPolicy = &never
		}
	}
}

func failurePolicy(p **admissionregistrationv1.FailurePolicyType) {
	if *p == nil {
		fail := admissionregistrationv1.Fail
		*p = &fail
	}
}

func matching(policy **admissionregistrationv1.MatchPolicyType, selectors ...**metav1.LabelSelector) {
	if *policy == nil {
		equivalent := admissionregistrationv1.Equivalent
		*policy = &equivalent
	}
	for _, s := range selectors {
		if *s == nil {
			*s = &metav1.LabelSelector{}
		}
	}
}

func matchResources(m *admissionregistrationv1.MatchResources) {
	if m == nil {
		return
	}
	matching(&m.MatchPolicy, &m.NamespaceSelector, &m.ObjectSelector)
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			scope(&rules[i].Scope)
		}
	}
}

func scopes(rules []admissionregistrationv1.RuleWithOperations) {
	for i := range rules {
		scope(&rules[i].Scope)
	}
}

func scope(s **admissionregistrationv1.ScopeType) {
	if *s == nil {
		all := admissionregistrationv1.AllScopes
		*s = &all
	}
}

func timeout(seconds **int32) {
	if *seconds == nil {
		n := int32(webhookSeconds)
		*seconds = &n
	}
}

func service(s *admissionregistrationv1.ServiceReference) {
	if s != nil && s.Port == nil {
		n := int32(webhookPort)
		s.Port = &n
	}
}
