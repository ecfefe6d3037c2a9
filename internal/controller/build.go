package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/namespace"
	"github.com/mayfly-run/mayfly/internal/controller/rootca"
	"github.com/mayfly-run/mayfly/internal/controller/scheduler"
	"github.com/mayfly-run/mayfly/internal/controller/serviceaccount"
)

// candidate is a controller and the resources that it cannot do without.
type candidate struct {
	needs []schema.GroupVersionResource
	build func() (runner, error)
}

// build makes the controllers whose resources are served.
func (c *Controller) build(ctx context.Context, kinds served, factory informers.SharedInformerFactory) ([]runner, error) {
	var runners []runner
	for _, candidate := range c.candidates(factory, c.recorders(ctx)) {
		if !kinds.all(candidate.needs...) {
			continue
		}
		r, err := candidate.build()
		if err != nil {
			return nil, err
		}
		runners = append(runners, r)
	}
	return runners, nil
}

func (c *Controller) candidates(factory informers.SharedInformerFactory, recorder func(component string) record.EventRecorder) []candidate {
	var (
		core       = corev1.SchemeGroupVersion.WithResource
		namespaces = core("namespaces")
		pods       = core("pods")
		nodes      = core("nodes")
	)
	return []candidate{
		{[]schema.GroupVersionResource{namespaces}, func() (runner, error) {
			return namespace.NewBootstrap(c.client, factory.Core().V1().Namespaces())
		}},
		{[]schema.GroupVersionResource{namespaces, pods}, func() (runner, error) {
			return namespace.NewDeletion(namespace.DeletionConfig{
				Client: c.client, Metadata: c.metadata,
				Namespaces: factory.Core().V1().Namespaces(), Pods: factory.Core().V1().Pods(),
			})
		}},
		{[]schema.GroupVersionResource{namespaces, core("serviceaccounts")}, func() (runner, error) {
			return serviceaccount.New(c.client, factory.Core().V1().Namespaces(), factory.Core().V1().ServiceAccounts())
		}},
		{[]schema.GroupVersionResource{namespaces, core("configmaps")}, func() (runner, error) {
			return rootca.New(rootca.Config{Client: c.client, Namespaces: factory.Core().V1().Namespaces(), RootCA: c.cfg.RootCA})
		}},
		{[]schema.GroupVersionResource{pods, nodes}, func() (runner, error) {
			return scheduler.New(scheduler.Config{
				Client: c.client, Recorder: recorder(corev1.DefaultSchedulerName),
				Pods: factory.Core().V1().Pods(), Nodes: factory.Core().V1().Nodes(), Namespaces: factory.Core().V1().Namespaces(),
			})
		}},
	}
}

// recorders returns the maker of event recorders, all of which write through one broadcaster.
func (c *Controller) recorders(ctx context.Context) func(component string) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	return func(component string) record.EventRecorder {
		return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	}
}
