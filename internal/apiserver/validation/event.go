package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxEventWord = 128 // reason, action, reporting instance
	maxEventNote = 1024
)

// EventCreate judges a new event of core: one with an event time has all that events.k8s.io wants.
func EventCreate(e *corev1.Event) field.ErrorList { return event(e, "reportingComponent") }

// EventUpdate judges an update of an event of core, of which anything may change.
func EventUpdate(e, _ *corev1.Event) field.ErrorList { return EventCreate(e) }

// event holds the rules of both APIs, which have different names for who reports.
func event(e *corev1.Event, reporter string) field.ErrorList {
	var errs field.ErrorList
	if e.EventTime.IsZero() {
		errs = append(errs, eventPlace(e, metav1.NamespaceNone, metav1.NamespaceDefault)...)
	} else {
		errs = append(errs, timedEvent(e, field.NewPath(reporter))...)
	}
	return append(errs, dnsSubdomain(field.NewPath("namespace"), e.Namespace)...)
}

// eventPlace wants the event in the namespace of what it is about, or in one of others where that has none.
func eventPlace(e *corev1.Event, others ...string) field.ErrorList {
	about := e.InvolvedObject.Namespace
	for _, other := range others {
		if about == "" && e.Namespace == other {
			return nil
		}
	}
	if about != "" && about == e.Namespace {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")}
}

func timedEvent(e *corev1.Event, controller *field.Path) field.ErrorList {
	var errs field.ErrorList
	if e.InvolvedObject.Namespace == "" {
		errs = append(errs, eventPlace(e, metav1.NamespaceDefault, metav1.NamespaceSystem)...)
	}
	if e.ReportingController == "" {
		errs = append(errs, field.Required(controller, ""))
	}
	errs = append(errs, invalid(controller, e.ReportingController, validation.IsQualifiedName(e.ReportingController))...)
	for _, word := range []struct{ name, value string }{{"reportingInstance", e.ReportingInstance}, {"action", e.Action}, {"reason", e.Reason}} {
		if word.value == "" {
			errs = append(errs, field.Required(field.NewPath(word.name), ""))
		}
		errs = append(errs, eventLength(word.name, word.value, maxEventWord)...)
	}
	return append(errs, eventLength("message", e.Message, maxEventNote)...)
}

func eventLength(name, value string, most int) field.ErrorList {
	if len(value) <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %d characters", most))}
}

// NewEventCreate judges a new event of events.k8s.io: nothing of what the older API alone has may be in it.
func NewEventCreate(e *corev1.Event) field.ErrorList {
	errs := append(event(e, "reportingController"), created(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)...)
	errs = append(errs, eventSeries(e)...)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", "has invalid value: "+e.Type))
	}
	for name, set := range map[string]bool{
		"firstTimestamp": !e.FirstTimestamp.IsZero(), "lastTimestamp": !e.LastTimestamp.IsZero(),
		"count": e.Count != 0, "source": e.Source != corev1.EventSource{},
	} {
		if set {
			errs = append(errs, field.Invalid(field.NewPath(name), "", "needs to be unset"))
		}
	}
	return errs
}

func eventSeries(e *corev1.Event) field.ErrorList {
	if e.Series == nil {
		return nil
	}
	var errs field.ErrorList
	if e.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if e.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

// NewEventUpdate judges an update of an event of events.k8s.io: the series alone goes on.
func NewEventUpdate(e, old *corev1.Event) field.ErrorList {
	errs := append(event(e, "reportingController"), updated(&e.ObjectMeta, &old.ObjectMeta)...)
	if !equality.Semantic.DeepEqual(e.Series, old.Series) {
		errs = append(errs, eventSeries(e)...)
	}
	for name, values := range map[string][2]any{
		"involvedObject": {e.InvolvedObject, old.InvolvedObject}, "reason": {e.Reason, old.Reason}, "message": {e.Message, old.Message},
		"source": {e.Source, old.Source}, "firstTimestamp": {e.FirstTimestamp, old.FirstTimestamp}, "lastTimestamp": {e.LastTimestamp, old.LastTimestamp},
		"count": {e.Count, old.Count}, "type": {e.Type, old.Type}, "eventTime": {e.EventTime, old.EventTime}, "action": {e.Action, old.Action},
		"related": {e.Related, old.Related}, "reportingController": {e.ReportingController, old.ReportingController},
		"reportingInstance": {e.ReportingInstance, old.ReportingInstance},
	} {
		errs = append(errs, apivalidation.ValidateImmutableField(values[0], values[1], field.NewPath(name))...)
	}
	return errs
}
