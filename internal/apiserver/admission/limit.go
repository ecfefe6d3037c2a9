package admission

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

func sameResources(a, b corev1.ResourceRequirements) bool {
	return equality.Semantic.DeepEqual(a, b)
}

// checkItem holds what one container, or a Pod, asks for to one item of a LimitRange. The words are kube-apiserver's.
func checkItem(item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	var errs []error
	check := func(enforced corev1.ResourceList, judge func(limit) error) {
		for _, name := range slices.Sorted(maps.Keys(enforced)) {
			l := limit{kind: item.Type, name: name, enforced: enforced[name]}
			l.request, l.hasRequest = requests[name]
			l.limit, l.hasLimit = limits[name]
			if err := judge(l); err != nil {
				errs = append(errs, err)
			}
		}
	}
	check(item.Min, limit.min)
	check(item.Max, limit.max)
	check(item.MaxLimitRequestRatio, limit.ratio)
	return errs
}

// limit is one resource as it is enforced and as it is asked for.
type limit struct {
	kind                     corev1.LimitType
	name                     corev1.ResourceName
	enforced, request, limit resource.Quantity
	hasRequest, hasLimit     bool
}

func (l limit) min() error {
	switch what := fmt.Sprintf("minimum %s usage per %s is %s", l.name, l.kind, l.enforced.String()); {
	case !l.hasRequest:
		return fmt.Errorf("%s.  No request is specified", what)
	case l.request.Cmp(l.enforced) < 0:
		return fmt.Errorf("%s, but request is %s", what, l.request.String())
	case l.hasLimit && l.limit.Cmp(l.enforced) < 0:
		return fmt.Errorf("%s, but limit is %s", what, l.limit.String())
	}
	return nil
}

func (l limit) max() error {
	switch what := fmt.Sprintf("maximum %s usage per %s is %s", l.name, l.kind, l.enforced.String()); {
	case !l.hasLimit:
		return fmt.Errorf("%s.  No limit is specified", what)
	case l.limit.Cmp(l.enforced) > 0:
		return fmt.Errorf("%s, but limit is %s", what, l.limit.String())
	case l.hasRequest && l.request.Cmp(l.enforced) > 0:
		return fmt.Errorf("%s, but request is %s", what, l.request.String())
	}
	return nil
}

func (l limit) ratio() error {
	what := fmt.Sprintf("%s max limit to request ratio per %s is %s", l.name, l.kind, l.enforced.String())
	if !l.hasRequest || l.request.IsZero() {
		return fmt.Errorf("%s, but no request is specified or request is 0", what)
	}
	if !l.hasLimit || l.limit.IsZero() {
		return fmt.Errorf("%s, but no limit is specified or limit is 0", what)
	}
	if ratio := l.limit.AsApproximateFloat64() / l.request.AsApproximateFloat64(); ratio > l.enforced.AsApproximateFloat64() {
		return fmt.Errorf("%s, but provided ratio is %f", what, ratio)
	}
	return nil
}
