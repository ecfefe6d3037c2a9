package admission

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Config is what plugins look things up with.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Accounts  Accounts
	Limits    Limits
	Pods      Pods
	Nodes     Nodes
	// AlwaysPullImages sets every container's image pull policy to Always.
	AlwaysPullImages bool
	// Loopback makes clients in this process, and Authorizer decides what expressions may ask for.
	Loopback   *rest.Config
	Authorizer authorizer.Authorizer
	// Stop is closed when the server has drained; what plugins run in the background ends then.
	Stop <-chan struct{}
}

// New makes the chain of all plugins, and the one among them that waits for [Dynamic.Begin].
func New(c Config) (admission.Interface, *Dynamic, error) {
	namespaces, err := lifecycle.NewLifecycle(sets.New(metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic))
	if err != nil {
		return nil, nil, fmt.Errorf("namespace lifecycle: %w", err)
	}
	namespaces.SetExternalKubeClientSet(c.Client)
	namespaces.SetExternalKubeInformerFactory(c.Informers)
	security, err := podSecurity(c.Client, c.Informers.Core().V1().Namespaces().Lister())
	if err != nil {
		return nil, nil, err
	}
	quotas, err := resourceQuota(c)
	if err != nil {
		return nil, nil, err
	}
	classes := cachedClasses{priorities: c.Informers.Scheduling().V1().PriorityClasses().Lister(), client: c.Client}
	plugins := []admission.Interface{
		&ephemeralContainers{admission.NewHandler(admission.Create, admission.Update)},
		namespaces,
		limitRanger(c.Limits),
		serviceAccount(c.Accounts),
		&nodeRestriction{admission.NewHandler(admission.Create, admission.Update, admission.Delete), c.Pods},
		newCertificates(c.Authorizer),
		security,
		topology{admission.NewHandler(admission.Create), c.Nodes},
		priority(classes),
		soleDefault{admission.NewHandler(admission.Create, admission.Update), c.Client},
		defaultTolerationSeconds(),
		runtimeClass(classes),
	}
	if c.AlwaysPullImages {
		plugins = append(plugins, alwaysPullImages())
	}
	dynamic := newDynamic(c)
	// Quotas come last: they count what passes.
	return newChain(append(plugins, dynamic, quotas)...), dynamic, nil
}
