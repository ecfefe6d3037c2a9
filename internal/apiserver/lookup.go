package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/plain"
)

// lookup reads core objects straight from their storage, for those who decide about requests. Its storages are set
// when they exist, before anything is served.
type lookup struct {
	mu   sync.RWMutex
	core plain.Storages
}

func (l *lookup) set(core plain.Storages) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core = core
}

// read takes the watch cache, which is current enough and costs no trip to etcd; what it lacks may have been made just now.
func read[T runtime.Object](ctx context.Context, l *lookup, resource, namespace, name string) (T, error) {
	o, err := readAt[T](ctx, l, resource, namespace, name, "0")
	if apierrors.IsNotFound(err) {
		return readAt[T](ctx, l, resource, namespace, name, "")
	}
	return o, err
}

func readAt[T runtime.Object](ctx context.Context, l *lookup, resource, namespace, name, version string) (T, error) {
	var none T
	l.mu.RLock()
	getter, ok := l.core[resource].(rest.Getter)
	l.mu.RUnlock()
	if !ok {
		return none, fmt.Errorf("read %s: not served", resource)
	}
	// An error names the resource of the context's request: that of this read, not that of the request being decided about.
	ctx = genericapirequest.WithRequestInfo(genericapirequest.WithNamespace(ctx, namespace), &genericapirequest.RequestInfo{Resource: resource})
	o, err := getter.Get(ctx, name, &metav1.GetOptions{ResourceVersion: version})
	if err != nil {
		return none, err
	}
	t, ok := o.(T)
	if !ok {
		return none, fmt.Errorf("read %s: unexpected %T", resource, o)
	}
	return t, nil
}

// ServiceAccount implements authn.Lookup.
func (l *lookup) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return read[*corev1.ServiceAccount](ctx, l, "serviceaccounts", namespace, name)
}

// Pod implements authn.Lookup.
func (l *lookup) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return read[*corev1.Pod](ctx, l, "pods", namespace, name)
}

// StoredPod implements client.Pods, past the watch cache.
func (l *lookup) StoredPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return readAt[*corev1.Pod](ctx, l, "pods", namespace, name, "")
}

// Secret implements authn.Lookup.
func (l *lookup) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return read[*corev1.Secret](ctx, l, "secrets", namespace, name)
}

// Node implements authn.Lookup.
func (l *lookup) Node(ctx context.Context, name string) (*corev1.Node, error) {
	return read[*corev1.Node](ctx, l, "nodes", metav1.NamespaceNone, name)
}

// CachedNode implements admission.Nodes. A node that was made just now may be absent; a Pod on a node that there is not
// costs no trip to etcd.
func (l *lookup) CachedNode(ctx context.Context, name string) (*corev1.Node, error) {
	return readAt[*corev1.Node](ctx, l, "nodes", metav1.NamespaceNone, name, "0")
}

// LimitRanges implements admission.Limits.
func (l *lookup) LimitRanges(ctx context.Context, namespace string) ([]corev1.LimitRange, error) {
	l.mu.RLock()
	lister, ok := l.core["limitranges"].(rest.Lister)
	l.mu.RUnlock()
	if !ok {
		return nil, errors.New("list limit ranges: not served")
	}
	o, err := lister.List(genericapirequest.WithNamespace(ctx, namespace), &metainternal.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	list, ok := o.(*corev1.LimitRangeList)
	if !ok {
		return nil, fmt.Errorf("list limit ranges: unexpected %T", o)
	}
	return list.Items, nil
}

// Refers implements authz.PodLookup. The node learns of its Pods from the watch cache, which is asked first: a look that
// is sure to be current may wait for etcd's next progress notification, a tenth of a second. Only a no has to be sure.
func (l *lookup) Refers(node, resource, namespace, name string) bool {
	return l.refersAt("0", node, resource, namespace, name) || l.refersAt("", node, resource, namespace, name)
}

func (l *lookup) refersAt(version, node, resource, namespace, name string) bool {
	l.mu.RLock()
	lister, ok := l.core["pods"].(rest.Lister)
	l.mu.RUnlock()
	if !ok {
		return false
	}
	ctx := genericapirequest.WithNamespace(context.Background(), namespace)
	o, err := lister.List(ctx, &metainternal.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node), ResourceVersion: version,
	})
	if err != nil {
		return false
	}
	list, ok := o.(*corev1.PodList)
	if !ok {
		return false
	}
	return slices.ContainsFunc(list.Items, func(p corev1.Pod) bool { return refers(&p, resource, name) })
}

// budgets gives evictions the PodDisruptionBudgets that are stored.
type budgets struct {
	store  *registry.Storage
	status *registry.Status
}

// List implements pod.Budgets.
func (b budgets) List(ctx context.Context, namespace string) ([]policyv1.PodDisruptionBudget, error) {
	o, err := b.store.List(genericapirequest.WithNamespace(ctx, namespace), &metainternal.ListOptions{})
	if err != nil {
		return nil, err
	}
	list, ok := o.(*policyv1.PodDisruptionBudgetList)
	if !ok {
		return nil, fmt.Errorf("list disruption budgets: unexpected %T", o)
	}
	return list.Items, nil
}

// UpdateStatus implements pod.Budgets.
func (b budgets) UpdateStatus(ctx context.Context, budget *policyv1.PodDisruptionBudget) error {
	_, _, err := b.status.Update(ctx, budget.Name, rest.DefaultUpdatedObjectInfo(budget),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}
