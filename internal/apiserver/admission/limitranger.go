package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	podresource "k8s.io/component-helpers/resource"
)

// limitRangerAnnotation says what was added to a Pod.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// Limits finds the LimitRanges of a namespace.
type Limits interface {
	LimitRanges(ctx context.Context, namespace string) ([]corev1.LimitRange, error)
}

// limitRanger gives containers the resources that their namespace has by default, and refuses what is beyond its
// limits. Ephemeral containers cannot ask for resources, so no limit meets them.
func limitRanger(limits Limits) admission.Interface {
	return &podPlugin{
		Handler:      admission.NewHandler(admission.Create, admission.Update),
		subresources: sets.New("resize"),
		admit: func(ctx context.Context, p, old *corev1.Pod) error {
			if old != nil {
				return nil
			}
			all, err := limits.LimitRanges(ctx, p.Namespace)
			for i := range all {
				setLimitDefaults(p, &all[i])
			}
			return err
		},
		validate: func(ctx context.Context, p, old *corev1.Pod) error {
			if old != nil && !resized(p, old) || p.DeletionTimestamp != nil {
				return nil
			}
			all, err := limits.LimitRanges(ctx, p.Namespace)
			if err != nil {
				return err
			}
			var errs []error
			for i := range all {
				errs = append(errs, checkLimits(p, &all[i])...)
			}
			return utilerrors.NewAggregate(errs)
		},
	}
}

// resized tells whether an update changes what containers ask for.
func resized(p, old *corev1.Pod) bool {
	changed := func(a, b []corev1.Container) bool {
		return !slices.EqualFunc(a, b, func(x, y corev1.Container) bool { return sameResources(x.Resources, y.Resources) })
	}
	return changed(p.Spec.Containers, old.Spec.Containers) || changed(p.Spec.InitContainers, old.Spec.InitContainers)
}

// setLimitDefaults fills in what containers leave open, and notes it in an annotation.
func setLimitDefaults(p *corev1.Pod, r *corev1.LimitRange) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for name, q := range item.DefaultRequest {
			requests[name] = q.DeepCopy()
		}
		for name, q := range item.Default {
			limits[name] = q.DeepCopy()
		}
	}
	var notes []string
	fill := func(kind string, containers []corev1.Container) {
		for i := range containers {
			c := &containers[i]
			if set := merge(&c.Resources.Limits, limits); len(set) > 0 {
				notes = append(notes, fmt.Sprintf("%s limit for %s %s", strings.Join(set, ", "), kind, c.Name))
			}
			if set := merge(&c.Resources.Requests, requests); len(set) > 0 {
				notes = append(notes, fmt.Sprintf("%s request for %s %s", strings.Join(set, ", "), kind, c.Name))
			}
		}
	}
	fill("container", p.Spec.Containers)
	fill("init container", p.Spec.InitContainers)
	if len(notes) == 0 {
		return
	}
	slices.Sort(notes)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

// merge adds to list what it lacks of defaults, and names it.
func merge(list *corev1.ResourceList, defaults corev1.ResourceList) []string {
	var set []string
	for name, q := range defaults {
		if _, ok := (*list)[name]; ok {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = q.DeepCopy()
		set = append(set, string(name))
	}
	slices.Sort(set)
	return set
}

// checkLimits holds every container, or the Pod as a whole, to the items of a LimitRange.
func checkLimits(p *corev1.Pod, r *corev1.LimitRange) []error {
	var errs []error
	for i := range r.Spec.Limits {
		item := &r.Spec.Limits[i]
		switch item.Type {
		case corev1.LimitTypeContainer:
			for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
				for j := range list {
					errs = append(errs, checkItem(item, list[j].Resources.Requests, list[j].Resources.Limits)...)
				}
			}
		case corev1.LimitTypePod:
			errs = append(errs, checkItem(item,
				podresource.PodRequests(p, podresource.PodResourcesOptions{}), podresource.PodLimits(p, podresource.PodResourcesOptions{}))...)
		}
	}
	return errs
}
