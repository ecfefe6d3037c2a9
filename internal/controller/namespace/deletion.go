package namespace

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// lookAgain is when a namespace is looked at again whose content did not go at once and of which no event tells.
const lookAgain = time.Second

// DeletionConfig is what Deletion needs.
type DeletionConfig struct {
	Client     kubernetes.Interface
	Metadata   metadata.Interface
	Namespaces coreinformers.NamespaceInformer
	Pods       coreinformers.PodInformer
}

// Deletion empties namespaces that are being deleted, and lets go of them once they are empty.
//
// Pods go first and all else after the last of them, so that a Pod never outlives what guards it, as kube-apiserver's
// ordered deletion does since Kubernetes 1.33.
type Deletion struct {
	client     kubernetes.Interface
	metadata   metadata.Interface
	namespaces corelisters.NamespaceLister
	queue      *work.Queue
}

// NewDeletion returns the controller.
func NewDeletion(cfg DeletionConfig) (*Deletion, error) {
	d := &Deletion{client: cfg.Client, metadata: cfg.Metadata, namespaces: cfg.Namespaces.Lister()}
	d.queue = work.New(work.Config{Name: "namespace-deletion", Workers: 2, Do: d.sync})
	terminating := cache.FilteringResourceEventHandler{
		FilterFunc: func(obj any) bool { ns, ok := obj.(*corev1.Namespace); return ok && ns.DeletionTimestamp != nil },
		Handler:    cache.ResourceEventHandlerFuncs{AddFunc: d.queue.AddObject, UpdateFunc: func(_, obj any) { d.queue.AddObject(obj) }},
	}
	if _, err := cfg.Namespaces.Informer().AddEventHandler(terminating); err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: d.podGone}); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return d, nil
}

// Run works until ctx ends.
func (d *Deletion) Run(ctx context.Context) error { return d.queue.Run(ctx) }

func (d *Deletion) podGone(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return
	}
	namespace, _, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return
	}
	if ns, err := d.namespaces.Get(namespace); err == nil && ns.DeletionTimestamp != nil {
		d.queue.Add(namespace)
	}
}

func (d *Deletion) sync(ctx context.Context, name string) error {
	cached, err := d.namespaces.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get namespace: %w", err)
	}
	if cached.DeletionTimestamp == nil || !slices.Contains(cached.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return nil
	}
	left := d.empty(ctx, cached)
	ns, err := d.report(ctx, cached, left)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := left.err(); err != nil {
		return fmt.Errorf("empty namespace: %w", err)
	}
	if left.any() {
		d.queue.AddAfter(name, lookAgain)
		return nil
	}
	return d.finalize(ctx, ns)
}

// report writes the conditions that say what is left, where they changed.
func (d *Deletion) report(ctx context.Context, cached *corev1.Namespace, left *remainder) (*corev1.Namespace, error) {
	ns := cached.DeepCopy()
	ns.Status.Phase = corev1.NamespaceTerminating
	for _, c := range left.conditions() {
		setCondition(&ns.Status, c)
	}
	if equality.Semantic.DeepEqual(ns.Status, cached.Status) {
		return ns, nil
	}
	updated, err := d.client.CoreV1().Namespaces().UpdateStatus(ctx, ns, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update namespace status: %w", err)
	}
	return updated, nil
}

// finalize takes the finalizer off, upon which the API server removes the namespace.
func (d *Deletion) finalize(ctx context.Context, ns *corev1.Namespace) error {
	ns = ns.DeepCopy()
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err := d.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalize namespace: %w", err)
	}
	return nil
}
