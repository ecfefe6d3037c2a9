package apiserver

import (
	"fmt"
	"maps"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/mayfly-run/mayfly/internal/apiserver/printer"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/certificate"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/namespace"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/plain"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/policy"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/review"
)

// install makes the storage of every resource and puts it under its path.
func (s *Server) install(cfg *genericapiserver.Config) error {
	o := registry.Options{Scheme: s.scheme, Getter: s.store, Printer: printer.New}
	groups, err := s.groups(o, cfg.Authorization.Authorizer)
	if err != nil {
		return err
	}
	core := s.group(corev1.SchemeGroupVersion, groups[corev1.GroupName])
	if err := s.generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &core); err != nil {
		return fmt.Errorf("install core: %w", err)
	}
	var rest []*genericapiserver.APIGroupInfo
	for _, gv := range []schema.GroupVersion{
		admissionregistrationv1.SchemeGroupVersion, appsv1.SchemeGroupVersion, authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion,
		certificatesv1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion, eventsv1.SchemeGroupVersion, nodev1.SchemeGroupVersion,
		policyv1.SchemeGroupVersion, rbacv1.SchemeGroupVersion, schedulingv1.SchemeGroupVersion,
	} {
		info := s.group(gv, groups[gv.Group])
		rest = append(rest, &info)
	}
	return s.generic.InstallAPIGroups(rest...)
}

func (s *Server) group(gv schema.GroupVersion, storages plain.Storages) genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, s.scheme, runtime.NewParameterCodec(s.scheme), s.codecs)
	info.VersionedResourcesStorageMap[gv.Version] = storages
	return info
}

// groups makes all storages, by API group.
func (s *Server) groups(o registry.Options, auth authorizer.Authorizer) (map[string]plain.Storages, error) {
	groups := map[string]plain.Storages{}
	for name, open := range map[string]func(registry.Options) (plain.Storages, error){
		corev1.GroupName:                  plain.Core,
		admissionregistrationv1.GroupName: policy.New,
		appsv1.GroupName:                  plain.Apps,
		certificatesv1.GroupName:          certificate.New,
		coordinationv1.GroupName:          plain.Coordination,
		nodev1.GroupName:                  plain.Node,
		policyv1.GroupName:                plain.Policy,
		rbacv1.GroupName:                  plain.RBAC,
		schedulingv1.GroupName:            plain.Scheduling,
	} {
		storages, err := open(o)
		if err != nil {
			return nil, err
		}
		groups[name] = storages
	}
	namespaces, err := namespace.New(o)
	if err != nil {
		return nil, err
	}
	pods, err := pod.New(pod.Config{
		Options: o, Nodes: s.cfg.Node, Upgrade: upgradeAuthorizer(auth),
		Budgets: budgets{groups[policyv1.GroupName]["poddisruptionbudgets"].(*registry.Storage), groups[policyv1.GroupName]["poddisruptionbudgets/status"].(*registry.Status)},
	})
	if err != nil {
		return nil, err
	}
	core := groups[corev1.GroupName]
	maps.Copy(core, namespaces)
	maps.Copy(core, pods)
	core["nodes/proxy"] = pod.NewNodeProxy(s.cfg.Node)
	groups[eventsv1.GroupName] = plain.Storages{"events": core["events"]}
	s.lookup.set(core)
	s.policies = groups[admissionregistrationv1.GroupName]
	if s.tokens != nil {
		core["serviceaccounts/token"] = review.NewTokenRequest(core["serviceaccounts"].(*registry.Storage), s.lookup, s.tokens)
	}
	groups[authenticationv1.GroupName] = review.Authentication(s.authenticated)
	groups[authorizationv1.GroupName] = review.Authorization(auth, s.rbac)
	s.protect(groups[rbacv1.GroupName], auth)
	return groups, nil
}
