package pod

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

type kind = registry.Kind[corev1.Pod, corev1.PodList, *corev1.Pod, *corev1.PodList]

// Resource is "pods".
func Resource() schema.GroupResource { return corev1.Resource("pods") }

// Config is what Pods need beyond a store.
type Config struct {
	registry.Options
	// Nodes says where a Pod's streams end.
	Nodes NodeGetter
	// Budgets holds PodDisruptionBudgets for evictions.
	Budgets Budgets
	// Upgrade authorizes a GET that upgrades; nil allows.
	Upgrade UpgradeAuthorizer
}

// New makes the storage of "pods" and its subresources, by the names that the API group is installed with.
func New(c Config) (map[string]rest.Storage, error) {
	k := describe()
	pods, err := registry.New(c.Options, k)
	if err != nil {
		return nil, err
	}
	streams := streams{pods: pods, nodes: c.Nodes, authorize: c.Upgrade}
	return map[string]rest.Storage{
		"pods":                     pods,
		"pods/status":              registry.NewStatus(c.Options, pods, k),
		"pods/binding":             &Binding{pods: pods},
		"bindings":                 &namelessBinding{Binding{pods: pods}},
		"pods/eviction":            &Eviction{pods: pods, budgets: c.Budgets},
		"pods/ephemeralcontainers": newEphemeralContainers(c.Options, pods),
		"pods/resize":              newResize(c.Options, pods),
		"pods/log":                 &Log{streams},
		"pods/exec":                &Exec{streams},
		"pods/attach":              &Attach{streams},
		"pods/portforward":         &PortForward{streams},
		"pods/proxy":               &Proxy{streams},
	}, nil
}

func describe() kind {
	return kind{
		Resource:      Resource(),
		ShortNames:    []string{"po"},
		Categories:    []string{"all"},
		Namespaced:    true,
		Create:        validation.PodCreate,
		Update:        validation.PodUpdate,
		UpdateStatus:  validation.PodStatusUpdate,
		Prepare:       prepare,
		PrepareUpdate: prepareUpdate,
		KeepStatus:    keepStatus,
		KeepSpec:      keepSpec,
		Kept:          []string{"metadata.deletionTimestamp", "metadata.ownerReferences"},
		Spec:          func(p *corev1.Pod) any { return p.Spec },
		Warn:          warn,
		Fields:        selectable,
		Index:         "spec.nodeName",
		Graceful:      graceful,
		Return:        true,
	}
}

func prepare(ctx context.Context, pod *corev1.Pod) {
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	// What the client wrote deserves the warning, not what is derived from it.
	for _, w := range validation.AppArmorWarnings(pod) {
		warning.AddWarning(ctx, "", w)
	}
	validation.DropDisabledPodFields(pod, nil)
	defaults.SetPodResources(pod)
	pod.Status.QOSClass = validation.PodQOS(pod)
}

func prepareUpdate(_ context.Context, pod, old *corev1.Pod) {
	keepPodResources(pod, old)
	validation.DropDisabledPodFields(pod, old)
}

// keepPodResources keeps what a client leaves out that does not know of it.
func keepPodResources(pod, old *corev1.Pod) {
	if pod.Spec.Resources == nil {
		pod.Spec.Resources = old.Spec.Resources.DeepCopy()
	}
}

func keepStatus(pod, old *corev1.Pod) {
	if old == nil {
		pod.Status = corev1.PodStatus{}
		return
	}
	pod.Status = old.Status
}

// warn speaks at a creation alone: updates are rarely written by hand.
func warn(_ context.Context, pod, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	return validation.PodWarnings(pod)
}

// keepSpec leaves a status writer what its business is, and keeps what old nodes do not know and would clear.
func keepSpec(pod, old *corev1.Pod) {
	pod.Spec, pod.OwnerReferences, pod.DeletionTimestamp = old.Spec, old.OwnerReferences, old.DeletionTimestamp
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.Status.QOSClass
	}
	keepObserved(&pod.Status, &old.Status)
	validation.DropDisabledStatusFields(&pod.Status)
}

// keepObserved keeps the generations that were observed. There may be several conditions of one type: they keep theirs
// in order.
func keepObserved(s, old *corev1.PodStatus) {
	fill := func(generation *int64, before int64) {
		if *generation == 0 {
			*generation = before
		}
	}
	fill(&s.ObservedGeneration, old.ObservedGeneration)
	before := map[corev1.PodConditionType][]int64{}
	for _, c := range old.Conditions {
		before[c.Type] = append(before[c.Type], c.ObservedGeneration)
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if left := before[c.Type]; len(left) > 0 {
			fill(&c.ObservedGeneration, left[0])
			before[c.Type] = left[1:]
		}
	}
}

// graceful gives a Pod its grace period, and none where nothing runs: unassigned to a node, or ended already.
func graceful(_ context.Context, pod *corev1.Pod, options *metav1.DeleteOptions) bool {
	var period int64
	switch {
	case pod.Spec.NodeName == "", pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodSucceeded:
	case options.GracePeriodSeconds != nil:
		period = *options.GracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if period < 0 {
		period = 1
	}
	options.GracePeriodSeconds = &period
	return true
}

func selectable(pod *corev1.Pod) fields.Set {
	podIP := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		podIP = pod.Status.PodIPs[0].IP
	}
	return fields.Set{
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"spec.serviceAccountName":  pod.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"status.phase":             string(pod.Status.Phase),
		"status.podIP":             podIP,
		"status.podIPs":            podIP,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}
}

// get reads the Pod name in ctx's namespace.
func get(ctx context.Context, pods *registry.Storage, name string) (*corev1.Pod, error) {
	o, err := pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("read pod %s: unexpected %T", name, o)
	}
	return pod, nil
}
