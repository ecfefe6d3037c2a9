// Package bootstraptoken removes bootstrap tokens that are over.
package bootstraptoken

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// Controller removes secrets of the type of bootstrap tokens.
type Controller struct {
	client  kubernetes.Interface
	secrets cache.SharedIndexInformer
	queue   *work.Queue
}

// New returns the controller. It watches the secrets that are bootstrap tokens, and no others.
func New(client kubernetes.Interface) (*Controller, error) {
	c := &Controller{client: client}
	c.secrets = coreinformers.NewFilteredSecretInformer(client, metav1.NamespaceSystem, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeBootstrapToken)).String()
	})
	c.queue = work.New(work.Config{Name: "bootstraptoken", Do: c.sync})
	if _, err := c.secrets.AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch bootstrap tokens: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { c.secrets.RunWithContext(ctx) })
	return c.queue.Run(ctx)
}

func (c *Controller) sync(ctx context.Context, key string) error {
	o, ok, err := c.secrets.GetStore().GetByKey(key)
	if err != nil || !ok {
		return err
	}
	s, ok := o.(*corev1.Secret)
	if !ok || s.Type != corev1.SecretTypeBootstrapToken || len(s.Data["expiration"]) == 0 {
		return nil
	}
	// A date that cannot be read is over: nobody could use the token.
	end, err := time.Parse(time.RFC3339, string(s.Data["expiration"]))
	if left := time.Until(end); err == nil && left > 0 {
		c.queue.AddAfter(key, left)
		return nil
	}
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID, ResourceVersion: &s.ResourceVersion}}
	err = c.client.CoreV1().Secrets(s.Namespace).Delete(ctx, s.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete bootstrap token: %w", err)
	}
	return nil
}
