// Package typecheck tells in the status of each ValidatingAdmissionPolicy which of its expressions cannot be right for
// the kinds that it speaks of: a field that none of them has, say. The policy works as it is all the same.
package typecheck

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	applyv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	informersv1 "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	listersv1 "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/client-go/restmapper"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// manager is the field manager by which clients of Kubernetes know who wrote.
const manager = "validatingadmissionpolicy-status"

// Config says what a [Controller] works with.
type Config struct {
	Client    kubernetes.Interface
	Discovery discovery.DiscoveryInterface
	Policies  informersv1.ValidatingAdmissionPolicyInformer
}

// Controller checks every policy once for each generation.
type Controller struct {
	client   kubernetes.Interface
	policies listersv1.ValidatingAdmissionPolicyLister
	checker  *validating.TypeChecker
	queue    *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{
		client: cfg.Client, policies: cfg.Policies.Lister(),
		checker: &validating.TypeChecker{
			SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: cfg.Discovery},
			RestMapper:     restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(cfg.Discovery)),
		},
	}
	c.queue = work.New(work.Config{Name: "typecheck", Do: c.sync})
	if _, err := cfg.Policies.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch validating admission policies: %w", err)
	}
	return c, nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) sync(ctx context.Context, name string) error {
	policy, err := c.policies.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if policy.Generation <= policy.Status.ObservedGeneration {
		return nil
	}
	found := applyv1.TypeChecking()
	for _, w := range c.checker.Check(policy) {
		found.WithExpressionWarnings(applyv1.ExpressionWarning().WithFieldRef(w.FieldRef).WithWarning(w.Warning))
	}
	status := applyv1.ValidatingAdmissionPolicyStatus().WithObservedGeneration(policy.Generation).WithTypeChecking(found)
	applied := applyv1.ValidatingAdmissionPolicy(name).WithStatus(status)
	// Only this policy: one of the same name that came after it is checked on its own.
	applied.WithUID(policy.UID)
	_, err = c.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().ApplyStatus(ctx, applied, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("write the status of policy %s: %w", name, err)
	}
	return nil
}
