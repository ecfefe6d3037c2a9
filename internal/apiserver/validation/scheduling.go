package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func tolerations(p *field.Path, list []corev1.Toleration) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, toleration(p.Index(i), &list[i])...)
	}
	return errs
}

func toleration(p *field.Path, t *corev1.Toleration) field.ErrorList {
	var errs field.ErrorList
	operator := p.Child("operator")
	if t.Key != "" {
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, p.Child("key"))...)
	} else if t.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(operator, t.Operator,
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(p.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if msgs := validation.IsValidLabelValue(t.Value); len(msgs) > 0 {
			errs = append(errs, field.Invalid(operator, t.Value, strings.Join(msgs, ";")))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(operator, t.Value, "value must be empty when `operator` is 'Exists'"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // behind a feature gate that is off, but known
		errs = append(errs, field.NotSupported(operator, t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt,
		}))
	default:
		errs = append(errs, oneOf(operator, t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)...)
	}
	if t.Effect != "" {
		errs = append(errs, taintEffect(p.Child("effect"), t.Effect)...)
	}
	return errs
}

func taintEffect(p *field.Path, effect corev1.TaintEffect) field.ErrorList {
	return requiredOneOf(p, effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func spread(p *field.Path, list []corev1.TopologySpreadConstraint) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		c, at := &list[i], p.Index(i)
		errs = append(errs, spreadConstraint(at, c)...)
		// Of two alike, upstream refuses the first.
		if slices.ContainsFunc(list[i+1:], func(o corev1.TopologySpreadConstraint) bool {
			return o.TopologyKey == c.TopologyKey && o.WhenUnsatisfiable == c.WhenUnsatisfiable
		}) {
			pair := fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)
			errs = append(errs, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), pair))
		}
	}
	return errs
}

func spreadConstraint(p *field.Path, c *corev1.TopologySpreadConstraint) field.ErrorList {
	var errs field.ErrorList
	if c.MaxSkew <= 0 {
		errs = append(errs, field.Invalid(p.Child("maxSkew"), c.MaxSkew, "must be greater than zero"))
	}
	if c.TopologyKey == "" {
		errs = append(errs, field.Required(p.Child("topologyKey"), "can not be empty"))
	}
	errs = append(errs, oneOf(p.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
	if n := c.MinDomains; n != nil {
		at := p.Child("minDomains")
		if *n <= 0 {
			errs = append(errs, field.Invalid(at, *n, "must be greater than zero"))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			errs = append(errs, field.Invalid(at, *n, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable)))
		}
	}
	for name, policy := range map[string]*corev1.NodeInclusionPolicy{
		"nodeAffinityPolicy": c.NodeAffinityPolicy, "nodeTaintsPolicy": c.NodeTaintsPolicy,
	} {
		if policy != nil {
			errs = append(errs, oneOf(p.Child(name), *policy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)...)
		}
	}
	errs = append(errs, labelKeys(p.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector)...)
	errs = append(errs, doubledKeys(p, c.MatchLabelKeys, c.LabelSelector)...)
	return append(errs, metavalidation.ValidateLabelSelector(c.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, p.Child("labelSelector"))...)
}

func readinessGates(p *field.Path, gates []corev1.PodReadinessGate) field.ErrorList {
	var errs field.ErrorList
	for i, g := range gates {
		errs = append(errs, qualifiedName(p.Index(i).Child("conditionType"), string(g.ConditionType))...)
	}
	return errs
}

func schedulingGates(p *field.Path, gates []corev1.PodSchedulingGate) field.ErrorList {
	var errs field.ErrorList
	taken := names{}
	for i, g := range gates {
		errs = append(errs, qualifiedName(p.Index(i), g.Name)...)
		if taken.take(g.Name) {
			errs = append(errs, field.Duplicate(p.Index(i), g.Name))
		}
	}
	return errs
}

// resourceClaims holds the rules of the devices that a Pod claims, and returns the names its containers may use.
func resourceClaims(p *field.Path, claims []corev1.PodResourceClaim, meta *metav1.ObjectMeta) (names, field.ErrorList) {
	var errs field.ErrorList
	known := names{}
	static := meta != nil && metav1.HasAnnotation(*meta, corev1.MirrorPodAnnotationKey)
	for i := range claims {
		c, at := &claims[i], p.Index(i)
		switch {
		case static:
			known[c.Name] = c.Name != ""
			errs = append(errs, field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
			continue
		case c.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case known.take(c.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		default:
			errs = append(errs, dnsLabel(at.Child("name"), c.Name)...)
		}
		if c.ResourceClaimName != nil && c.ResourceClaimTemplateName != nil {
			errs = append(errs, field.Invalid(at, goNames(c), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		}
		if c.ResourceClaimName == nil && c.ResourceClaimTemplateName == nil {
			errs = append(errs, field.Invalid(at, goNames(c), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
		if n := c.ResourceClaimName; n != nil {
			errs = append(errs, dnsSubdomain(at.Child("resourceClaimName"), *n)...)
		}
		if n := c.ResourceClaimTemplateName; n != nil {
			errs = append(errs, dnsSubdomain(at.Child("resourceClaimTemplateName"), *n)...)
		}
	}
	return known, errs
}
