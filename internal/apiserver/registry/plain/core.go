package plain

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// eventSeconds is how long an event is kept.
const eventSeconds = 3600

// Core are the plain resources of core/v1.
func Core(o registry.Options) (Storages, error) {
	all := Storages{}
	err := each(
		func() error { _, err := add(o, all, configMap()); return err },
		func() error { _, err := add(o, all, secret()); return err },
		func() error { _, err := add(o, all, serviceAccount()); return err },
		func() error { _, err := add(o, all, event()); return err },
		func() error { _, err := add(o, all, limitRange()); return err },
		func() error { _, err := addWithStatus(o, all, node()); return err },
		func() error { _, err := addWithStatus(o, all, resourceQuota()); return err },
	)
	return all, err
}

func configMap() registry.Kind[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList] {
	return registry.Kind[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList]{
		Resource: corev1.Resource("configmaps"), ShortNames: []string{"cm"}, Namespaced: true,
		Create: validation.ConfigMapCreate, Update: validation.ConfigMapUpdate,
	}
}

func secret() registry.Kind[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList] {
	return registry.Kind[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList]{
		Resource: corev1.Resource("secrets"), Namespaced: true,
		Create: validation.SecretCreate, Update: validation.SecretUpdate,
		PrepareUpdate: func(_ context.Context, s, old *corev1.Secret) {
			// An update that does not say a type means the one that is there.
			if s.Type == "" {
				s.Type = old.Type
			}
		},
		Fields: func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
	}
}

func serviceAccount() registry.Kind[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return registry.Kind[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList]{
		Resource: corev1.Resource("serviceaccounts"), ShortNames: []string{"sa"}, Namespaced: true, Return: true,
		Create: validation.ServiceAccountCreate, Update: validation.ServiceAccountUpdate,
		Prepare:       func(_ context.Context, a *corev1.ServiceAccount) { a.Secrets = keepNames(a.Secrets) },
		PrepareUpdate: func(_ context.Context, a, _ *corev1.ServiceAccount) { a.Secrets = keepNames(a.Secrets) },
	}
}

func keepNames(refs []corev1.ObjectReference) []corev1.ObjectReference {
	for i := range refs {
		refs[i] = corev1.ObjectReference{Name: refs[i].Name}
	}
	return refs
}

func event() registry.Kind[corev1.Event, corev1.EventList, *corev1.Event, *corev1.EventList] {
	return registry.Kind[corev1.Event, corev1.EventList, *corev1.Event, *corev1.EventList]{
		Resource: corev1.Resource("events"), ShortNames: []string{"ev"}, Namespaced: true, CreateOnUpdate: true,
		ByRequest: judgeEvent,
		Fields:    eventFields, TTL: eventSeconds,
	}
}

// judgeEvent applies the rules of the API that the request came by.
func judgeEvent(ctx context.Context, e, old *corev1.Event) field.ErrorList {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	create, update := validation.EventCreate, validation.EventUpdate
	if ok && info.APIGroup == eventsv1.GroupName {
		create, update = validation.NewEventCreate, validation.NewEventUpdate
	}
	if old == nil {
		return create(e)
	}
	return update(e, old)
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func limitRange() registry.Kind[corev1.LimitRange, corev1.LimitRangeList, *corev1.LimitRange, *corev1.LimitRangeList] {
	return registry.Kind[corev1.LimitRange, corev1.LimitRangeList, *corev1.LimitRange, *corev1.LimitRangeList]{
		Resource: corev1.Resource("limitranges"), ShortNames: []string{"limits"}, Namespaced: true, CreateOnUpdate: true,
		Create: validation.LimitRangeCreate, Update: validation.LimitRangeUpdate,
		Prepare: func(_ context.Context, l *corev1.LimitRange) {
			if l.Name == "" {
				l.Name = string(uuid.NewUUID())
			}
		},
	}
}

func node() registry.Kind[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList] {
	return registry.Kind[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList]{
		Resource: corev1.Resource("nodes"), ShortNames: []string{"no"},
		Create: validation.NodeCreate, Update: validation.NodeUpdate, UpdateStatus: validation.NodeStatusUpdate,
		Warn:          func(_ context.Context, n, _ *corev1.Node) []string { return validation.NodeWarnings(n) },
		Prepare:       func(_ context.Context, n *corev1.Node) { validation.DropDisabledNodeFields(n, nil) },
		PrepareUpdate: func(_ context.Context, n, old *corev1.Node) { validation.DropDisabledNodeFields(n, old) },
		// A node may register together with its status.
		KeepStatus: func(n, old *corev1.Node) {
			if old != nil {
				n.Status = old.Status
			}
		},
		KeepSpec: func(n, old *corev1.Node) {
			if n.Spec = old.Spec; old.Status.Config == nil {
				n.Status.Config = nil
			}
		},
		Fields: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
	}
}

func resourceQuota() registry.Kind[corev1.ResourceQuota, corev1.ResourceQuotaList, *corev1.ResourceQuota, *corev1.ResourceQuotaList] {
	return registry.Kind[corev1.ResourceQuota, corev1.ResourceQuotaList, *corev1.ResourceQuota, *corev1.ResourceQuotaList]{
		Resource: corev1.Resource("resourcequotas"), ShortNames: []string{"quota"}, Namespaced: true, Return: true,
		Create: validation.ResourceQuotaCreate, Update: validation.ResourceQuotaUpdate, UpdateStatus: validation.ResourceQuotaStatusUpdate,
		KeepStatus: func(q, old *corev1.ResourceQuota) {
			if q.Status = (corev1.ResourceQuotaStatus{}); old != nil {
				q.Status = old.Status
			}
		},
		KeepSpec: func(q, old *corev1.ResourceQuota) { q.Spec = old.Spec },
	}
}
