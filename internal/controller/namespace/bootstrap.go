// Package namespace keeps the namespaces that are always there, and empties those that are being deleted.
package namespace

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// always answers the namespaces that clients take for granted.
func always() []string {
	return []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}
}

// Bootstrap creates the namespaces that are always there, at once and again whenever one is gone.
type Bootstrap struct {
	client kubernetes.Interface
	queue  *work.Queue
}

// NewBootstrap returns the controller.
func NewBootstrap(client kubernetes.Interface, namespaces coreinformers.NamespaceInformer) (*Bootstrap, error) {
	b := &Bootstrap{client: client}
	b.queue = work.New(work.Config{Name: "namespace-bootstrap", Workers: len(always()), Do: b.create})
	_, err := namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil && slices.Contains(always(), key) {
			b.queue.Add(key)
		}
	}})
	if err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	return b, nil
}

// Run creates the namespaces and works until ctx ends.
func (b *Bootstrap) Run(ctx context.Context) error {
	for _, name := range always() {
		b.queue.Add(name)
	}
	return b.queue.Run(ctx)
}

func (b *Bootstrap) create(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := b.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace: %w", err)
	}
	return nil
}
