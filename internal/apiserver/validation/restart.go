package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxRestartRules = 20
	maxExitCodes    = 255
)

// restartRules holds the rules of a container's own restart policy and of its restart rules.
func restartRules(p *field.Path, policy *corev1.ContainerRestartPolicy, rules []corev1.ContainerRestartRule) field.ErrorList {
	var errs field.ErrorList
	if policy != nil {
		errs = append(errs, oneOf(p.Child("restartPolicy"), *policy, corev1.ContainerRestartPolicyAlways,
			corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	} else if len(rules) > 0 {
		errs = append(errs, field.Required(p.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	at := p.Child("restartPolicyRules")
	if len(rules) > maxRestartRules {
		errs = append(errs, field.TooMany(at, len(rules), maxRestartRules))
	}
	for i := range rules {
		errs = append(errs, restartRule(at.Index(i), &rules[i])...)
	}
	return errs
}

// initRestartRules are restartRules for an init container, whose rules nobody reads without a policy.
func initRestartRules(p *field.Path, policy *corev1.ContainerRestartPolicy, rules []corev1.ContainerRestartRule) field.ErrorList {
	errs := restartRules(p, policy, rules)
	if policy == nil && len(errs) > 0 {
		return errs[:1]
	}
	return errs
}

func restartRule(p *field.Path, rule *corev1.ContainerRestartRule) field.ErrorList {
	errs := oneOf(p.Child("action"), rule.Action,
		corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
	codes := p.Child("exitCodes")
	if rule.ExitCodes == nil {
		return append(errs, field.Required(codes, "must be specified"))
	}
	errs = append(errs, oneOf(codes.Child("operator"), rule.ExitCodes.Operator,
		corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
	if n := len(rule.ExitCodes.Values); n > maxExitCodes {
		errs = append(errs, field.TooMany(codes.Child("values"), n, maxExitCodes))
	}
	return errs
}

// resizePolicy holds the rules about what an in-place resize of a container may restart: nothing, in a Pod that never
// restarts.
func resizePolicy(p *field.Path, ctr *corev1.Container, podPolicy corev1.RestartPolicy) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, policy := range ctr.ResizePolicy {
		if taken.take(string(policy.ResourceName)) {
			errs = append(errs, field.Duplicate(p.Index(i), policy.ResourceName))
		}
		errs = append(errs, requiredOneOf(p, policy.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, requiredOneOf(p, policy.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)...)
		if podPolicy == corev1.RestartPolicyNever && policy.RestartPolicy != corev1.NotRequired {
			errs = append(errs, field.Invalid(p, policy.RestartPolicy, fmt.Sprintf(
				"must be '%s' when pod `restartPolicy` is '%s'", corev1.NotRequired, corev1.RestartPolicyNever)))
		}
	}
	return errs
}

// noRestartOnResize refuses to restart an init container that runs to its end.
func noRestartOnResize(p *field.Path, policies []corev1.ContainerResizePolicy) field.ErrorList {
	var errs field.ErrorList
	for i, policy := range policies {
		if policy.RestartPolicy == corev1.RestartContainer {
			errs = append(errs, field.Invalid(p.Index(i).Child("restartPolicy"), policy.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
	return errs
}
