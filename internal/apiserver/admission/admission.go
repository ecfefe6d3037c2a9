package admission

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Config is what plugins look things up with.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Accounts  Accounts
}

// New makes the chain of all plugins.
func New(c Config) (admission.Interface, error) {
	namespaces, err := lifecycle.NewLifecycle(sets.New(metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic))
	if err != nil {
		return nil, fmt.Errorf("namespace lifecycle: %w", err)
	}
	namespaces.SetExternalKubeClientSet(c.Client)
	namespaces.SetExternalKubeInformerFactory(c.Informers)
	security, err := podSecurity(c.Client, c.Informers.Core().V1().Namespaces().Lister())
	if err != nil {
		return nil, err
	}
	classes := cachedClasses{priorities: c.Informers.Scheduling().V1().PriorityClasses().Lister(), client: c.Client}
	return admission.NewChainHandler(
		&ephemeralContainers{admission.NewHandler(admission.Update)},
		namespaces,
		serviceAccount(c.Accounts),
		security,
		priority(classes),
		defaultTolerationSeconds(),
		runtimeClass(classes),
	), nil
}
