// Package policy serves the kinds of admissionregistration.k8s.io: policies in CEL with their bindings, and webhooks.
// What they say is checked when it is written, so that a broken policy never gets into force.
package policy

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// Resources are all that an object of can bring a policy or webhook into force.
func Resources() []string {
	return []string{
		"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
		"mutatingadmissionpolicybindings", "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
	}
}

func resource(name string) schema.GroupResource {
	return schema.GroupResource{Group: admissionregistrationv1.GroupName, Resource: name}
}

// New makes the storages, by the names that the API group is installed with.
func New(o registry.Options) (map[string]rest.Storage, error) {
	all := map[string]rest.Storage{}
	vap := validatingPolicy()
	policies, err := put(o, all, vap)
	if err != nil {
		return nil, err
	}
	all[vap.Resource.Resource+"/status"] = registry.NewStatus(o, policies, vap)
	for _, add := range []func() error{
		func() error { _, err := put(o, all, validatingBinding()); return err },
		func() error { _, err := put(o, all, mutatingPolicy()); return err },
		func() error { _, err := put(o, all, mutatingBinding()); return err },
		func() error { _, err := put(o, all, validatingWebhooks()); return err },
		func() error { _, err := put(o, all, mutatingWebhooks()); return err },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// put adds the storage of k, which as every kind of this group is updated by who read it alone.
func put[T, L any, P registry.Object[T], Q registry.Object[L]](o registry.Options, all map[string]rest.Storage, k registry.Kind[T, L, P, Q]) (*registry.Storage, error) {
	k.ConditionalUpdate = true
	s, err := registry.New(o, k)
	if err == nil {
		all[k.Resource.Resource] = s
	}
	return s, err
}

// extensions is the category of what extends the API.
var extensions = []string{"api-extensions"}

func validatingPolicy() registry.Kind[admissionregistrationv1.ValidatingAdmissionPolicy, admissionregistrationv1.ValidatingAdmissionPolicyList, *admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyList] {
	type kind = admissionregistrationv1.ValidatingAdmissionPolicy
	return registry.Kind[kind, admissionregistrationv1.ValidatingAdmissionPolicyList, *kind, *admissionregistrationv1.ValidatingAdmissionPolicyList]{
		Resource: resource("validatingadmissionpolicies"), Categories: extensions, Singular: "validatingadmissionpolicy", UpdateStatus: validation.ValidatingAdmissionPolicyStatusUpdate,
		Create: func(p *kind) field.ErrorList {
			return append(validation.ValidatingAdmissionPolicyCreate(p), validatingExpressions(&p.Spec)...)
		},
		Update: func(p, old *kind) field.ErrorList {
			return append(validation.ValidatingAdmissionPolicyUpdate(p, old), validatingExpressions(&p.Spec)...)
		},
		KeepStatus: func(p, old *kind) {
			if p.Status = (admissionregistrationv1.ValidatingAdmissionPolicyStatus{}); old != nil {
				p.Status = old.Status
			}
		},
		KeepSpec: func(p, old *kind) {
			p.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
		},
		Kept: []string{"metadata"},
		Spec: func(p *kind) any { return p.Spec },
	}
}

func validatingBinding() registry.Kind[admissionregistrationv1.ValidatingAdmissionPolicyBinding, admissionregistrationv1.ValidatingAdmissionPolicyBindingList, *admissionregistrationv1.ValidatingAdmissionPolicyBinding, *admissionregistrationv1.ValidatingAdmissionPolicyBindingList] {
	type kind = admissionregistrationv1.ValidatingAdmissionPolicyBinding
	return registry.Kind[kind, admissionregistrationv1.ValidatingAdmissionPolicyBindingList, *kind, *admissionregistrationv1.ValidatingAdmissionPolicyBindingList]{
		Resource: resource("validatingadmissionpolicybindings"), Categories: extensions,
		Create: validation.ValidatingAdmissionPolicyBindingCreate, Update: validation.ValidatingAdmissionPolicyBindingUpdate,
		Spec: func(b *kind) any { return b.Spec },
	}
}

func mutatingPolicy() registry.Kind[admissionregistrationv1.MutatingAdmissionPolicy, admissionregistrationv1.MutatingAdmissionPolicyList, *admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyList] {
	type kind = admissionregistrationv1.MutatingAdmissionPolicy
	return registry.Kind[kind, admissionregistrationv1.MutatingAdmissionPolicyList, *kind, *admissionregistrationv1.MutatingAdmissionPolicyList]{
		Resource: resource("mutatingadmissionpolicies"), Categories: extensions, Singular: "mutatingadmissionpolicy",
		Create: func(p *kind) field.ErrorList {
			return append(validation.MutatingAdmissionPolicyCreate(p), mutatingExpressions(&p.Spec)...)
		},
		Update: func(p, old *kind) field.ErrorList {
			return append(validation.MutatingAdmissionPolicyUpdate(p, old), mutatingExpressions(&p.Spec)...)
		},
		Spec: func(p *kind) any { return p.Spec },
	}
}

func mutatingBinding() registry.Kind[admissionregistrationv1.MutatingAdmissionPolicyBinding, admissionregistrationv1.MutatingAdmissionPolicyBindingList, *admissionregistrationv1.MutatingAdmissionPolicyBinding, *admissionregistrationv1.MutatingAdmissionPolicyBindingList] {
	type kind = admissionregistrationv1.MutatingAdmissionPolicyBinding
	return registry.Kind[kind, admissionregistrationv1.MutatingAdmissionPolicyBindingList, *kind, *admissionregistrationv1.MutatingAdmissionPolicyBindingList]{
		Resource: resource("mutatingadmissionpolicybindings"), Categories: extensions,
		Create: validation.MutatingAdmissionPolicyBindingCreate, Update: validation.MutatingAdmissionPolicyBindingUpdate,
		Spec: func(b *kind) any { return b.Spec },
	}
}

func validatingWebhooks() registry.Kind[admissionregistrationv1.ValidatingWebhookConfiguration, admissionregistrationv1.ValidatingWebhookConfigurationList, *admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.ValidatingWebhookConfigurationList] {
	type kind = admissionregistrationv1.ValidatingWebhookConfiguration
	check := func(c *kind) field.ErrorList {
		return webhookExpressions(c.Webhooks, func(w *admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.MatchCondition {
			return w.MatchConditions
		})
	}
	return registry.Kind[kind, admissionregistrationv1.ValidatingWebhookConfigurationList, *kind, *admissionregistrationv1.ValidatingWebhookConfigurationList]{
		Resource: resource("validatingwebhookconfigurations"), Categories: extensions,
		Create: func(c *kind) field.ErrorList {
			return append(validation.ValidatingWebhookConfigurationCreate(c), check(c)...)
		},
		Update: func(c, old *kind) field.ErrorList {
			return append(validation.ValidatingWebhookConfigurationUpdate(c, old), check(c)...)
		},
		Spec: func(c *kind) any { return c.Webhooks },
	}
}

func mutatingWebhooks() registry.Kind[admissionregistrationv1.MutatingWebhookConfiguration, admissionregistrationv1.MutatingWebhookConfigurationList, *admissionregistrationv1.MutatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfigurationList] {
	type kind = admissionregistrationv1.MutatingWebhookConfiguration
	check := func(c *kind) field.ErrorList {
		return webhookExpressions(c.Webhooks, func(w *admissionregistrationv1.MutatingWebhook) []admissionregistrationv1.MatchCondition {
			return w.MatchConditions
		})
	}
	return registry.Kind[kind, admissionregistrationv1.MutatingWebhookConfigurationList, *kind, *admissionregistrationv1.MutatingWebhookConfigurationList]{
		Resource: resource("mutatingwebhookconfigurations"), Categories: extensions,
		Create: func(c *kind) field.ErrorList {
			return append(validation.MutatingWebhookConfigurationCreate(c), check(c)...)
		},
		Update: func(c, old *kind) field.ErrorList {
			return append(validation.MutatingWebhookConfigurationUpdate(c, old), check(c)...)
		},
		Spec: func(c *kind) any { return c.Webhooks },
	}
}
