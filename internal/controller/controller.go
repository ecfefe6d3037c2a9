// Package controller runs the controllers: each watches some kinds of object and brings the world nearer to what they
// ask for. All of them are clients of the API server and of nothing else, keep no state of their own, and may be
// stopped and started at any time.
//
// A controller is a package below this one with a New and a blocking Run. They share one set of informers, so that
// each kind is held in memory once, and a controller runs only where the server serves the kinds that it is for.
//
//	namespace       the namespaces that are always there; deletion of a namespace's content
//	serviceaccount  the service account "default" of every namespace
//	rootca          the ConfigMap kube-root-ca.crt of every namespace
//	scheduler       which node a Pod runs on
//	certificate     approval of nodes' requests for certificates, signatures, old requests
//	aggregation     cluster roles that are made of others
//	bootstraptoken  removal of bootstrap tokens that are over
//	replicaset, deployment, disruption, garbage, podgc, nodelife, quota
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/informer"
)

// Config is what the controllers need.
type Config struct {
	// Client leads to the API server, with the rights of kube-controller-manager and kube-scheduler.
	Client *rest.Config
	// RootCA is published in every namespace, PEM; none is when empty.
	RootCA []byte
	// SigningCert and SigningKey, PEM, sign the certificates that are asked for; nothing is signed when they are empty.
	SigningCert, SigningKey []byte
	// NodeName is the node of this process, which is never given up while the process lives.
	NodeName string
}

// Controller is all controllers together.
type Controller struct {
	cfg      Config
	client   kubernetes.Interface
	metadata metadata.Interface
}

// runner is one controller.
type runner interface {
	Run(ctx context.Context) error
}

// New returns the controllers, which start when they run.
func New(cfg Config) (*Controller, error) {
	if cfg.Client == nil {
		return nil, errors.New("controllers need a client configuration")
	}
	rc := rest.CopyConfig(cfg.Client)
	// The API server queues and limits by itself; a second limit here would only delay.
	rc.QPS = -1
	if rc.UserAgent == "" {
		rc.UserAgent = "mayfly-controller"
	}
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("controllers' client: %w", err)
	}
	// The metadata client chooses its own content type.
	rc = rest.CopyConfig(rc)
	meta, err := metadata.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("controllers' metadata client: %w", err)
	}
	return &Controller{cfg: cfg, client: client, metadata: meta}, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	kinds, err := waitServed(ctx, c.client.Discovery())
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	factory := informer.NewFactory(informer.Config{Client: c.client, Transform: trim})
	group, ctx := errgroup.WithContext(ctx)
	runners, err := c.build(ctx, kinds, factory)
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	for _, r := range runners {
		group.Go(func() error {
			// Caches first: a controller that acts on half a cache undoes what the other half asks for.
			factory.WaitForCacheSyncWithContext(ctx)
			if ctx.Err() != nil {
				return nil
			}
			return r.Run(ctx)
		})
	}
	slog.DebugContext(ctx, "controllers run", "count", len(runners))
	return ignoreEnd(ctx, group.Wait())
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}

// trim drops what no controller reads and every object carries, before it is cached.
func trim(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}
