package scheme

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
)

type group struct {
	version schema.GroupVersion
	add     func(*runtime.Scheme) error
}

func groups() []group {
	return []group{
		{corev1.SchemeGroupVersion, corev1.AddToScheme},
		{appsv1.SchemeGroupVersion, appsv1.AddToScheme},
		{authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme},
		{authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme},
		{autoscalingv1.SchemeGroupVersion, autoscalingv1.AddToScheme},
		{certificatesv1.SchemeGroupVersion, certificatesv1.AddToScheme},
		{coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme},
		{nodev1.SchemeGroupVersion, nodev1.AddToScheme},
		{policyv1.SchemeGroupVersion, policyv1.AddToScheme},
		{rbacv1.SchemeGroupVersion, rbacv1.AddToScheme},
		{schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme},
		{admissionregistrationv1.SchemeGroupVersion, admissionregistrationv1.AddToScheme},
	}
}

// New builds the scheme of the server, with defaults, conversions and field labels.
func New() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, g := range groups() {
		if err := g.add(s); err != nil {
			return nil, fmt.Errorf("register %s: %w", g.version, err)
		}
		alias(s, g.version)
		if err := s.SetVersionPriority(g.version); err != nil {
			return nil, fmt.Errorf("prioritize %s: %w", g.version, err)
		}
	}
	if err := addEvents(s); err != nil {
		return nil, err
	}
	s.AddKnownTypeWithName(api.EphemeralContainersKind(), &api.EphemeralContainers{})
	for _, add := range []func(*runtime.Scheme) error{addEphemeralContainers, addOldEviction, addOptions, addFieldLabels} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	defaults.Register(s)
	return s, nil
}

// External is the scheme without internal versions, from which schemas are named.
func External() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, g := range append(groups(), group{eventsv1.SchemeGroupVersion, eventsv1.AddToScheme}) {
		if err := g.add(s); err != nil {
			return nil, fmt.Errorf("register %s: %w", g.version, err)
		}
	}
	s.AddKnownTypeWithName(api.EphemeralContainersKind(), &api.EphemeralContainers{})
	return s, nil
}

// alias registers every type of version, but not the options that all versions share, as its own internal version.
func alias(s *runtime.Scheme, version schema.GroupVersion) {
	internal := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
	shared := runtime.NewScheme()
	metav1.AddToGroupVersion(shared, version)
	for kind, t := range s.KnownTypes(version) {
		if shared.Recognizes(version.WithKind(kind)) {
			continue
		}
		if o, err := s.New(version.WithKind(kind)); err == nil && t != nil {
			s.AddKnownTypeWithName(internal.WithKind(kind), o)
		}
	}
}
