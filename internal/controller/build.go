package controller

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/aggregation"
	"github.com/mayfly-run/mayfly/internal/controller/bootstraptoken"
	"github.com/mayfly-run/mayfly/internal/controller/certificate"
	"github.com/mayfly-run/mayfly/internal/controller/deployment"
	"github.com/mayfly-run/mayfly/internal/controller/disruption"
	"github.com/mayfly-run/mayfly/internal/controller/garbage"
	"github.com/mayfly-run/mayfly/internal/controller/namespace"
	"github.com/mayfly-run/mayfly/internal/controller/nodelife"
	"github.com/mayfly-run/mayfly/internal/controller/podgc"
	"github.com/mayfly-run/mayfly/internal/controller/quota"
	"github.com/mayfly-run/mayfly/internal/controller/replicaset"
	"github.com/mayfly-run/mayfly/internal/controller/rootca"
	"github.com/mayfly-run/mayfly/internal/controller/scheduler"
	"github.com/mayfly-run/mayfly/internal/controller/serviceaccount"
	"github.com/mayfly-run/mayfly/internal/controller/typecheck"
	"github.com/mayfly-run/mayfly/internal/informer"
)

// candidate is a controller and the resources that it cannot do without.
type candidate struct {
	needs []schema.GroupVersionResource
	build func() (runner, error)
}

// shop is what controllers are built from.
type shop struct {
	*Controller
	informers *informer.Factory
	recorder  func(component string) record.EventRecorder
}

// build makes the controllers whose resources are served.
func (c *Controller) build(ctx context.Context, kinds served, factory *informer.Factory) ([]runner, error) {
	s := shop{c, factory, c.recorders(ctx)}
	var runners []runner
	for _, candidate := range s.candidates() {
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

func (s shop) candidates() []candidate {
	var (
		core        = corev1.SchemeGroupVersion.WithResource
		namespaces  = core("namespaces")
		pods        = core("pods")
		nodes       = core("nodes")
		sets        = appsv1.SchemeGroupVersion.WithResource("replicasets")
		deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
		budgets     = policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
		requests    = certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests")
		roles       = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
		leases      = coordinationv1.SchemeGroupVersion.WithResource("leases")
		policies    = admissionregistrationv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies")
	)
	of := func(resources ...schema.GroupVersionResource) []schema.GroupVersionResource { return resources }
	return []candidate{
		{of(namespaces), s.bootstrap},
		{of(pods, nodes, namespaces), s.scheduler},
		{of(namespaces, core("serviceaccounts")), s.serviceAccount},
		{of(namespaces, core("configmaps")), s.rootCA},
		{of(namespaces, pods), s.namespaceDeletion},
		{of(pods, sets), s.replicaSet},
		{of(pods, sets, deployments), s.deployment},
		{of(pods), s.garbage},
		{of(pods, nodes), s.podGC},
		{of(pods, sets, deployments, budgets), s.disruption},
		{of(pods, nodes, leases), s.nodeLife},
		{of(pods, core("resourcequotas")), s.quota},
		{of(requests), s.certificate},
		{of(roles), s.aggregation},
		{of(core("secrets")), s.bootstrapToken},
		{of(policies), s.typeCheck},
	}
}

func (s shop) bootstrap() (runner, error) {
	return namespace.NewBootstrap(s.client, s.informers.Core().V1().Namespaces())
}

func (s shop) namespaceDeletion() (runner, error) {
	core := s.informers.Core().V1()
	return namespace.NewDeletion(namespace.DeletionConfig{
		Client: s.client, Metadata: s.metadata, Namespaces: core.Namespaces(), Pods: core.Pods(),
	})
}

func (s shop) serviceAccount() (runner, error) {
	return serviceaccount.New(s.client, s.informers.Core().V1().Namespaces(), s.informers.Core().V1().ServiceAccounts())
}

func (s shop) rootCA() (runner, error) {
	return rootca.New(rootca.Config{Client: s.client, Namespaces: s.informers.Core().V1().Namespaces(), RootCA: s.cfg.RootCA})
}

func (s shop) scheduler() (runner, error) {
	core := s.informers.Core().V1()
	return scheduler.New(scheduler.Config{
		Client: s.client, Recorder: s.recorder(corev1.DefaultSchedulerName),
		Pods: core.Pods(), Nodes: core.Nodes(), Namespaces: core.Namespaces(),
	})
}

func (s shop) replicaSet() (runner, error) {
	return replicaset.New(replicaset.Config{
		Client: s.client, Recorder: s.recorder("replicaset-controller"),
		ReplicaSets: s.informers.Apps().V1().ReplicaSets(), Pods: s.informers.Core().V1().Pods(),
	})
}

func (s shop) deployment() (runner, error) {
	apps := s.informers.Apps().V1()
	return deployment.New(deployment.Config{
		Client: s.client, Recorder: s.recorder("deployment-controller"),
		Deployments: apps.Deployments(), ReplicaSets: apps.ReplicaSets(), Pods: s.informers.Core().V1().Pods(),
	})
}

func (s shop) garbage() (runner, error) {
	return garbage.New(garbage.Config{Discovery: s.client.Discovery(), Metadata: s.metadata})
}

func (s shop) podGC() (runner, error) {
	core := s.informers.Core().V1()
	return podgc.New(podgc.Config{Client: s.client, Pods: core.Pods(), Nodes: core.Nodes()})
}

func (s shop) disruption() (runner, error) {
	apps := s.informers.Apps().V1()
	return disruption.New(disruption.Config{
		Client: s.client, Recorder: s.recorder("controllermanager"),
		Budgets: s.informers.Policy().V1().PodDisruptionBudgets(), Pods: s.informers.Core().V1().Pods(),
		ReplicaSets: apps.ReplicaSets().Lister(), Deployments: apps.Deployments().Lister(),
	})
}

func (s shop) nodeLife() (runner, error) {
	core := s.informers.Core().V1()
	return nodelife.New(nodelife.Config{
		Client: s.client, Recorder: s.recorder("node-controller"), OwnNode: s.cfg.NodeName,
		Nodes: core.Nodes(), Pods: core.Pods(), Leases: s.informers.Coordination().V1().Leases(),
	})
}

func (s shop) quota() (runner, error) {
	core := s.informers.Core().V1()
	return quota.New(quota.Config{Client: s.client, Metadata: s.metadata, Quotas: core.ResourceQuotas(), Pods: core.Pods()})
}

func (s shop) certificate() (runner, error) {
	return certificate.New(certificate.Config{
		Client: s.client, Requests: s.informers.Certificates().V1().CertificateSigningRequests(),
		CACert: s.cfg.SigningCert, CAKey: s.cfg.SigningKey,
	})
}

func (s shop) aggregation() (runner, error) {
	return aggregation.New(s.client, s.informers.Rbac().V1().ClusterRoles())
}

func (s shop) typeCheck() (runner, error) {
	return typecheck.New(typecheck.Config{
		Client: s.client, Discovery: s.client.Discovery(), Policies: s.informers.Admissionregistration().V1().ValidatingAdmissionPolicies(),
	})
}

func (s shop) bootstrapToken() (runner, error) { return bootstraptoken.New(s.client) }

// recorders returns the maker of event recorders, all of which write through one broadcaster.
func (c *Controller) recorders(ctx context.Context) func(component string) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	return func(component string) record.EventRecorder {
		return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	}
}
