package validation

import (
	"math"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Texts that several rules share; clients and their tests rely on them.
const (
	moreThanOneVolumeType  = "may not specify more than 1 volume type"
	moreThanOneHandlerType = "may not specify more than 1 handler type"
	moreThanOneField       = "may not have more than one field specified at a time"
	mustBeUnique           = "must be unique"
	notInEphemeral         = "cannot be set for an Ephemeral Container"
	parentElement          = ".."
)

// names is a set of names already taken.
type names map[string]bool

// take marks a name as taken and says whether it was taken before.
func (n names) take(name string) bool {
	before := n[name]
	n[name] = true
	return before
}

// invalid turns the messages of a checker into one error each.
func invalid(p *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, m := range messages {
		errs = append(errs, field.Invalid(p, value, m))
	}
	return errs
}

// required refuses an empty value.
func required(p *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return nil
}

// oneOf refuses a value that is none of the allowed ones, which the error lists in the given order.
func oneOf[T ~string](p *field.Path, value T, allowed ...T) field.ErrorList {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(p, value, allowed)}
}

// requiredOneOf is oneOf for a value that must not be empty.
func requiredOneOf[T ~string](p *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return oneOf(p, value, allowed...)
}

func dnsLabel(p *field.Path, value string) field.ErrorList {
	return invalid(p, value, validation.IsDNS1123Label(value))
}

func dnsSubdomain(p *field.Path, value string) field.ErrorList {
	return invalid(p, value, validation.IsDNS1123Subdomain(value))
}

func qualifiedName(p *field.Path, value string) field.ErrorList {
	return invalid(p, value, validation.IsQualifiedName(value))
}

// requiredLabel wants a DNS label and says Required for none at all.
func requiredLabel(p *field.Path, value string) field.ErrorList {
	if value == "" {
		return required(p, value)
	}
	return dnsLabel(p, value)
}

// inRange wants min <= value <= max.
func inRange(p *field.Path, value, low, high int) field.ErrorList {
	return invalid(p, value, validation.IsInRange(value, low, high))
}

// nonNegative wants value >= 0.
func nonNegative(p *field.Path, value int64) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(value, p)
}

func userID(p *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(p, *id, validation.IsValidUserID(*id))
}

func groupID(p *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(p, *id, validation.IsValidGroupID(*id))
}

// address wants an IP address in a form that every parser reads alike: no leading zeros, no IPv4 within IPv6. Those of
// known were accepted before.
func address(p *field.Path, value string, known ...string) field.ErrorList {
	const strict = true
	return validation.IsValidIPForLegacyField(p, value, strict, known)
}

// noBacksteps refuses the element ".." anywhere in a path.
func noBacksteps(p *field.Path, value string) field.ErrorList {
	for _, element := range strings.Split(value, "/") {
		if element == parentElement {
			return field.ErrorList{field.Invalid(p, value, "must not contain '..'")}
		}
	}
	return nil
}

// descendingPath wants a relative path that never leaves the directory it starts in.
func descendingPath(p *field.Path, value string) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(value) {
		errs = append(errs, field.Invalid(p, value, "must be a relative path"))
	}
	return append(errs, noBacksteps(p, value)...)
}

// unreservedPath is a descendingPath that does not start with the two dots either, which atomic writers use.
func unreservedPath(p *field.Path, value string) field.ErrorList {
	errs := descendingPath(p, value)
	if strings.HasPrefix(value, parentElement) && len(noBacksteps(p, value)) == 0 {
		errs = append(errs, field.Invalid(p, value, "must not start with '..'"))
	}
	return errs
}

// maxSeconds is the longest active deadline.
const maxSeconds = math.MaxInt32

// deadline wants nothing or a number of seconds that fits an int32.
func deadline(p *field.Path, value *int64) field.ErrorList {
	if value == nil {
		return nil
	}
	if *value < 1 || *value > maxSeconds {
		return field.ErrorList{field.Invalid(p, *value, validation.InclusiveRangeError(1, maxSeconds))}
	}
	return nil
}

func pullPolicy(p *field.Path, policy corev1.PullPolicy) field.ErrorList {
	return requiredOneOf(p, policy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}
