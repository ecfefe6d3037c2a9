// Package rootca publishes the certificate authority of the API server as the ConfigMap kube-root-ca.crt of every
// namespace, which service account volumes project into Pods.
package rootca

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/mayfly-run/mayfly/internal/controller/work"
	"github.com/mayfly-run/mayfly/internal/informer"
)

const (
	name                  = "kube-root-ca.crt"
	key                   = "ca.crt"
	descriptionAnnotation = "kubernetes.io/description"
	description           = "Certificate authority of the API server. Clients in the cluster verify the API server's certificate with it."
)

// Config is what the controller needs.
type Config struct {
	Client     kubernetes.Interface
	Namespaces coreinformers.NamespaceInformer
	// RootCA is the certificates, PEM. Without any there is nothing to publish.
	RootCA []byte
}

// Controller writes the ConfigMaps.
type Controller struct {
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
	// published watches the ConfigMaps of that one name, rather than hold all the users' ones in memory.
	published *informer.Factory
	maps      corelisters.ConfigMapLister
	data      map[string]string
	queue     *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	byName := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	}
	published := informer.NewFactory(informer.Config{Client: cfg.Client, Tweak: byName})
	configMaps := published.Core().V1().ConfigMaps()
	c := &Controller{
		client: cfg.Client, namespaces: cfg.Namespaces.Lister(),
		published: published, maps: configMaps.Lister(),
		data: map[string]string{key: string(cfg.RootCA)},
	}
	c.queue = work.New(work.Config{Name: "rootca", Workers: 2, Do: c.sync})
	if len(cfg.RootCA) == 0 {
		return c, nil
	}
	if _, err := cfg.Namespaces.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	if _, err := configMaps.Informer().AddEventHandler(c.changed()); err != nil {
		return nil, fmt.Errorf("watch config maps: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	c.published.StartWithContext(ctx)
	defer c.published.Shutdown()
	c.published.WaitForCacheSyncWithContext(ctx)
	return c.queue.Run(ctx)
}

func (c *Controller) sync(ctx context.Context, namespace string) error {
	ns, err := c.namespaces.Get(namespace)
	if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get namespace: %w", err)
	}
	cached, err := c.maps.ConfigMaps(namespace).Get(name)
	switch {
	case apierrors.IsNotFound(err):
		return c.create(ctx, namespace)
	case err != nil:
		return fmt.Errorf("get config map: %w", err)
	case maps.Equal(cached.Data, c.data):
		return nil
	}
	wanted := cached.DeepCopy()
	wanted.Data = c.data
	if _, err := c.client.CoreV1().ConfigMaps(namespace).Update(ctx, wanted, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update config map: %w", err)
	}
	return nil
}

func (c *Controller) create(ctx context.Context, namespace string) error {
	wanted := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Annotations: map[string]string{descriptionAnnotation: description}},
		Data:       c.data,
	}
	_, err := c.client.CoreV1().ConfigMaps(namespace).Create(ctx, wanted, metav1.CreateOptions{})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	return fmt.Errorf("create config map: %w", err)
}
