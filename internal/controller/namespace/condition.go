package namespace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (r *remainder) err() error {
	return errors.Join(slices.Concat(r.discovery, r.parsing, r.deletion)...)
}

// conditions says in the words of kube-controller-manager what is left; clients show them to people who wait.
func (r *remainder) conditions() []corev1.NamespaceCondition {
	return []corev1.NamespaceCondition{
		verdict(corev1.NamespaceDeletionDiscoveryFailure,
			outcome{"ResourcesDiscovered", "All resources successfully discovered"},
			outcome{"DiscoveryFailed", list("Discovery failed for some groups, %d failing: %v", r.discovery)}),
		verdict(corev1.NamespaceDeletionGVParsingFailure,
			outcome{"ParsedGroupVersions", "All legacy kube types successfully parsed"},
			outcome{"GroupVersionParsingFailed", list("Failed to parse %d group versions: %v", r.parsing)}),
		verdict(corev1.NamespaceDeletionContentFailure,
			outcome{"ContentDeleted", "All content successfully deleted, may be waiting on finalization"},
			outcome{"ContentDeletionFailed", list("Failed to delete all resource types, %d remaining: %v", r.deletion)}),
		verdict(corev1.NamespaceContentRemaining,
			outcome{"ContentRemoved", "All content successfully removed"},
			outcome{"SomeResourcesRemain", counts("Some resources are remaining: %s", "%s has %d resource instances", r.instances)}),
		verdict(corev1.NamespaceFinalizersRemaining,
			outcome{"ContentHasNoFinalizers", "All content-preserving finalizers finished"},
			outcome{"SomeFinalizersRemain", counts("Some content in the namespace has finalizers remaining: %s", "%s in %d resource instances", r.finalizers)}),
	}
}

type outcome struct{ reason, message string }

// verdict is true, the bad case, when there is a message for it.
func verdict(kind corev1.NamespaceConditionType, good, bad outcome) corev1.NamespaceCondition {
	status, o := corev1.ConditionFalse, good
	if bad.message != "" {
		status, o = corev1.ConditionTrue, bad
	}
	return corev1.NamespaceCondition{Type: kind, Status: status, Reason: o.reason, Message: o.message}
}

func list(format string, errs []error) string {
	if len(errs) == 0 {
		return ""
	}
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	slices.Sort(texts)
	return fmt.Sprintf(format, len(errs), strings.Join(texts, ", "))
}

func counts(format, each string, of map[string]int) string {
	if len(of) == 0 {
		return ""
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		texts = append(texts, fmt.Sprintf(each, name, of[name]))
	}
	return fmt.Sprintf(format, strings.Join(texts, ", "))
}

// setCondition puts c in the place of the one of its type, keeping the time of transition where nothing changed.
func setCondition(status *corev1.NamespaceStatus, c corev1.NamespaceCondition) {
	c.LastTransitionTime = metav1.Now()
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	status.Conditions = append(status.Conditions, c)
}
