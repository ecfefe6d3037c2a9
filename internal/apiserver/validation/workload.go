package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const wholePercent = 100

// DeploymentCreate judges a new Deployment.
func DeploymentCreate(d *appsv1.Deployment) field.ErrorList {
	errs := created(&d.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	return append(errs, deploymentSpec(field.NewPath("spec"), &d.Spec, nil)...)
}

// DeploymentUpdate judges an update of a Deployment.
func DeploymentUpdate(d, old *appsv1.Deployment) field.ErrorList {
	errs := updated(&d.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, deploymentSpec(field.NewPath("spec"), &d.Spec, &old.Spec.Template)...)
	return append(errs, apivalidation.ValidateImmutableField(d.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

// DeploymentStatusUpdate judges an update of a Deployment's status.
func DeploymentStatusUpdate(d, old *appsv1.Deployment) field.ErrorList {
	errs := updated(&d.ObjectMeta, &old.ObjectMeta)
	p, s := field.NewPath("status"), &d.Status
	errs = append(errs, counts(p, s.ObservedGeneration, s.Replicas, map[string]int32{
		"updatedReplicas": s.UpdatedReplicas, "readyReplicas": s.ReadyReplicas,
		"availableReplicas": s.AvailableReplicas, "unavailableReplicas": s.UnavailableReplicas,
	})...)
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(p.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	if n := s.TerminatingReplicas; n != nil {
		errs = append(errs, nonNegative(p.Child("terminatingReplicas"), int64(*n))...)
	}
	return append(errs, collisions(p.Child("collisionCount"), s.CollisionCount, old.Status.CollisionCount)...)
}

// collisions wants a count that only grows.
func collisions(p *field.Path, count, old *int32) field.ErrorList {
	var errs field.ErrorList
	now := int32(0)
	if count != nil {
		now = *count
		errs = nonNegative(p, int64(now))
	}
	if old != nil && (count == nil || now < *old) {
		errs = append(errs, field.Invalid(p, now, "cannot be decremented"))
	}
	return errs
}

// counts wants numbers of replicas that are not negative and, but for those still missing, no more than all of them.
func counts(p *field.Path, generation int64, all int32, parts map[string]int32) field.ErrorList {
	errs := nonNegative(p.Child("observedGeneration"), generation)
	errs = append(errs, nonNegative(p.Child("replicas"), int64(all))...)
	for name, n := range parts {
		errs = append(errs, nonNegative(p.Child(name), int64(n))...)
		if n > all && name != "unavailableReplicas" {
			errs = append(errs, field.Invalid(p.Child(name), n, "cannot be greater than status.replicas"))
		}
	}
	return errs
}

func deploymentSpec(p *field.Path, s *appsv1.DeploymentSpec, old *corev1.PodTemplateSpec) field.ErrorList {
	var errs field.ErrorList
	if s.Replicas != nil {
		errs = append(errs, nonNegative(p.Child("replicas"), int64(*s.Replicas))...)
	}
	errs = append(errs, selectedTemplate(p, s.Selector, &s.Template, old, "deployment")...)
	errs = append(errs, strategy(p.Child("strategy"), &s.Strategy)...)
	errs = append(errs, nonNegative(p.Child("minReadySeconds"), int64(s.MinReadySeconds))...)
	if s.RevisionHistoryLimit != nil {
		errs = append(errs, nonNegative(p.Child("revisionHistoryLimit"), int64(*s.RevisionHistoryLimit))...)
	}
	if n := s.ProgressDeadlineSeconds; n != nil {
		at := p.Child("progressDeadlineSeconds")
		errs = append(errs, nonNegative(at, int64(*n))...)
		if *n <= s.MinReadySeconds {
			errs = append(errs, field.Invalid(at, *n, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

// selectedTemplate holds the rules of a selector and of a template of Pods that live forever and match it.
func selectedTemplate(p *field.Path, selector *metav1.LabelSelector, t, old *corev1.PodTemplateSpec, kind string) field.ErrorList {
	var errs field.ErrorList
	at := p.Child("selector")
	if selector == nil {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at)...)
		if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(at, selector, "empty selector is invalid for "+kind))
		}
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	switch {
	case err != nil:
		return append(errs, field.Invalid(at, selector, "invalid label selector"))
	case !s.Empty() && !s.Matches(labels.Set(t.Labels)): // as none at all does
		errs = append(errs, field.Invalid(p.Child("template", "metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	errs = append(errs, podTemplate(p.Child("template"), t, old)...)
	errs = append(errs, oneOf(p.Child("template", "spec", "restartPolicy"), t.Spec.RestartPolicy, corev1.RestartPolicyAlways)...)
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(p.Child("template", "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in ReplicaSet is not Supported"))
	}
	return errs
}

func strategy(p *field.Path, s *appsv1.DeploymentStrategy) field.ErrorList {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(p.Child("rollingUpdate"), "may not be specified when strategy `type` is '"+string(appsv1.RecreateDeploymentStrategyType)+"'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
		if s.RollingUpdate == nil {
			return field.ErrorList{field.Required(p.Child("rollingUpdate"), "this should be defaulted and never be nil")}
		}
		return rolling(p.Child("rollingUpdate"), s.RollingUpdate)
	}
	return oneOf(p, s.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)
}

func rolling(p *field.Path, r *appsv1.RollingUpdateDeployment) field.ErrorList {
	var errs field.ErrorList
	unavailable, surge := p.Child("maxUnavailable"), p.Child("maxSurge")
	zero := true
	for _, f := range []struct {
		at    *field.Path
		value *intstr.IntOrString
	}{{unavailable, r.MaxUnavailable}, {surge, r.MaxSurge}} {
		if f.value != nil {
			errs = append(errs, amount(f.at, *f.value)...)
			zero = zero && number(*f.value) == 0
		}
	}
	if zero {
		errs = append(errs, field.Invalid(unavailable, r.MaxUnavailable, "may not be 0 when `maxSurge` is 0"))
	}
	if r.MaxUnavailable != nil {
		errs = append(errs, atMostAll(unavailable, *r.MaxUnavailable)...)
	}
	return errs
}

// amount wants a number that is not negative, or a percentage.
func amount(p *field.Path, v intstr.IntOrString) field.ErrorList {
	if v.Type == intstr.String {
		return invalid(p, v.StrVal, validation.IsValidPercent(v.StrVal))
	}
	return nonNegative(p, int64(v.IntValue()))
}

// atMostAll refuses a percentage above one hundred.
func atMostAll(p *field.Path, v intstr.IntOrString) field.ErrorList {
	if v.Type == intstr.String && len(validation.IsValidPercent(v.StrVal)) == 0 && number(v) > wholePercent {
		return field.ErrorList{field.Invalid(p, v, "must not be greater than 100%")}
	}
	return nil
}

func number(v intstr.IntOrString) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&v, wholePercent, true)
	if err != nil {
		return 0
	}
	return n
}

// ReplicaSetCreate judges a new ReplicaSet.
func ReplicaSetCreate(r *appsv1.ReplicaSet) field.ErrorList {
	errs := created(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	return append(errs, replicaSetSpec(field.NewPath("spec"), &r.Spec, nil)...)
}

// ReplicaSetUpdate judges an update of a ReplicaSet.
func ReplicaSetUpdate(r, old *appsv1.ReplicaSet) field.ErrorList {
	errs := updated(&r.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, replicaSetSpec(field.NewPath("spec"), &r.Spec, &old.Spec.Template)...)
	return append(errs, apivalidation.ValidateImmutableField(r.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

// ReplicaSetStatusUpdate judges an update of a ReplicaSet's status.
func ReplicaSetStatusUpdate(r, old *appsv1.ReplicaSet) field.ErrorList {
	errs := updated(&r.ObjectMeta, &old.ObjectMeta)
	p, s := field.NewPath("status"), &r.Status
	errs = append(errs, counts(p, s.ObservedGeneration, s.Replicas, map[string]int32{
		"fullyLabeledReplicas": s.FullyLabeledReplicas, "readyReplicas": s.ReadyReplicas, "availableReplicas": s.AvailableReplicas,
	})...)
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(p.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	if n := s.TerminatingReplicas; n != nil {
		errs = append(errs, nonNegative(p.Child("terminatingReplicas"), int64(*n))...)
	}
	return errs
}

func replicaSetSpec(p *field.Path, s *appsv1.ReplicaSetSpec, old *corev1.PodTemplateSpec) field.ErrorList {
	var errs field.ErrorList
	if s.Replicas != nil {
		errs = append(errs, nonNegative(p.Child("replicas"), int64(*s.Replicas))...)
	}
	errs = append(errs, nonNegative(p.Child("minReadySeconds"), int64(s.MinReadySeconds))...)
	return append(errs, selectedTemplate(p, s.Selector, &s.Template, old, "deployment")...)
}
