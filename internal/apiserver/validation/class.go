package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxUserPriority = int32(1000000000)
	systemPrefix    = "system-"
	nodeCritical    = "system-node-critical"
	clusterCritical = "system-cluster-critical"
)

// PriorityClassCreate judges a new PriorityClass. The two classes of the system itself are exempt from its limits.
func PriorityClassCreate(c *schedulingv1.PriorityClass) field.ErrorList {
	errs := created(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if strings.HasPrefix(c.Name, systemPrefix) {
		if want, ok := map[string]int32{nodeCritical: 2000001000, clusterCritical: 2000000000}[c.Name]; !ok || want != c.Value || c.GlobalDefault {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), fmt.Sprintf(
				"priority class names with '%s' prefix are reserved for system use only. error: %s is not a known system priority class", systemPrefix, c.Name)))
		}
	} else if c.Value > maxUserPriority {
		errs = append(errs, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", maxUserPriority)))
	}
	if v := c.PreemptionPolicy; v != nil {
		errs = append(errs, requiredOneOf(field.NewPath("preemptionPolicy"), *v, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	return errs
}

// PriorityClassUpdate judges an update of a PriorityClass: what Pods were given stays.
func PriorityClassUpdate(c, old *schedulingv1.PriorityClass) field.ErrorList {
	errs := updated(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(errs, apivalidation.ValidateImmutableField(c.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
}

// RuntimeClassCreate judges a new RuntimeClass.
func RuntimeClassCreate(c *nodev1.RuntimeClass) field.ErrorList {
	errs := createdLoosely(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if handler := field.NewPath("handler"); c.Handler == "" {
		errs = append(errs, field.Required(handler, ""))
	} else {
		errs = append(errs, dnsLabel(handler, c.Handler)...)
	}
	if c.Overhead != nil {
		errs = append(errs, containerResources(field.NewPath("overhead"), &corev1.ResourceRequirements{Limits: c.Overhead.PodFixed}, nil)...)
	}
	if s := c.Scheduling; s != nil {
		p := field.NewPath("scheduling")
		errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
		errs = append(errs, tolerations(p.Child("tolerations"), s.Tolerations)...)
		taken := map[corev1.Toleration]bool{}
		for i, t := range s.Tolerations {
			key := corev1.Toleration{Key: t.Key, Operator: t.Operator, Value: t.Value, Effect: t.Effect}
			if taken[key] {
				errs = append(errs, field.Duplicate(p.Child("tolerations").Index(i), t))
			}
			taken[key] = true
		}
	}
	return errs
}

// RuntimeClassUpdate judges an update of a RuntimeClass.
func RuntimeClassUpdate(c, old *nodev1.RuntimeClass) field.ErrorList {
	errs := updatedLoosely(&c.ObjectMeta, &old.ObjectMeta)
	return append(errs, apivalidation.ValidateImmutableField(c.Handler, old.Handler, field.NewPath("handler"))...)
}

// PodDisruptionBudgetCreate judges a new PodDisruptionBudget. Its name may be anything that fits into a URL, which every
// resource's must.
func PodDisruptionBudgetCreate(b *policyv1.PodDisruptionBudget) field.ErrorList {
	return budget(field.NewPath("spec"), &b.Spec)
}

// PodDisruptionBudgetUpdate judges an update of a PodDisruptionBudget.
func PodDisruptionBudgetUpdate(b, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	return budget(field.NewPath("spec"), &b.Spec)
}

func budget(p *field.Path, s *policyv1.PodDisruptionBudgetSpec) field.ErrorList {
	var errs field.ErrorList
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(p, goNames(s), "minAvailable and maxUnavailable cannot be both set"))
	}
	if v := s.MinAvailable; v != nil {
		errs = append(errs, amount(p.Child("minAvailable"), *v)...)
		errs = append(errs, atMostAll(p.Child("minAvailable"), *v)...)
	}
	if v := s.MaxUnavailable; v != nil {
		errs = append(errs, amount(p.Child("maxUnavailable"), *v)...)
		errs = append(errs, atMostAll(p.Child("maxUnavailable"), *v)...)
	}
	if v := s.UnhealthyPodEvictionPolicy; v != nil {
		errs = append(errs, oneOf(p.Child("unhealthyPodEvictionPolicy"), *v, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
	}
	return append(errs, metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, p.Child("selector"))...)
}

// PodDisruptionBudgetStatusUpdate judges an update of a PodDisruptionBudget's status.
func PodDisruptionBudgetStatusUpdate(b, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	var errs field.ErrorList
	p := field.NewPath("status")
	for name, n := range map[string]int32{
		"disruptionsAllowed": b.Status.DisruptionsAllowed, "currentHealthy": b.Status.CurrentHealthy,
		"desiredHealthy": b.Status.DesiredHealthy, "expectedPods": b.Status.ExpectedPods,
	} {
		errs = append(errs, nonNegative(p.Child(name), int64(n))...)
	}
	return append(errs, metavalidation.ValidateConditions(b.Status.Conditions, p.Child("conditions"))...)
}
