package apiserver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/mayfly-run/mayfly/internal/apiserver/authn"
	"github.com/mayfly-run/mayfly/internal/apiserver/authz"
	"github.com/mayfly-run/mayfly/internal/apiserver/loopback"
	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
)

func (s *Server) authenticator(ctx context.Context, ca dynamiccertificates.CAContentProvider) (authenticator.Request, error) {
	s.lookup = &lookup{}
	c := authn.Config{InProcess: loopback.Authenticator(), ClientCA: ca.VerifyOptions}
	var bearers []authenticator.Token
	if s.cfg.TokenAuthFile != "" {
		static, err := tokenfile.NewCSV(s.cfg.TokenAuthFile)
		if err != nil {
			return nil, fmt.Errorf("static tokens: %w", err)
		}
		bearers = append(bearers, static)
	}
	if s.cfg.ServiceAccountKeyFile != "" {
		tokens, err := authn.NewTokens(s.cfg.ServiceAccountKeyFile, s.cfg.ServiceAccountIssuer, s.lookup)
		if err != nil {
			return nil, err
		}
		s.tokens, bearers = tokens, append(bearers, tokens)
	}
	if s.cfg.BootstrapTokens {
		bearers = append(bearers, authn.NewBootstrapTokens(s.lookup))
	}
	if s.cfg.AuthenticationConfigFile != "" {
		configured, err := s.configuredAuthentication(ctx)
		if err != nil {
			return nil, err
		}
		bearers, c.Anonymous = append(bearers, configured), configured.Anonymous
	}
	if s.cfg.AuthenticationWebhookConfigFile != "" {
		hook, err := authn.NewWebhook(s.cfg.AuthenticationWebhookConfigFile, s.cfg.AuthenticationWebhookVersion, s.cfg.ServiceAccountIssuer)
		if err != nil {
			return nil, err
		}
		bearers = append(bearers, hook)
	}
	if len(bearers) > 0 {
		s.bearer = tokenunion.New(bearers...)
	}
	c.Token = s.bearer
	return authn.New(c), nil
}

// authenticated judges a bearer token for a TokenReview.
func (s *Server) authenticated(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if s.bearer == nil {
		return nil, false, nil
	}
	return group.NewTokenGroupAdder(s.bearer, []string{user.AllAuthenticated}).AuthenticateToken(ctx, token)
}

// authorizer asks, in this order: system:masters may all, health is everybody's, and then what is configured: without
// a configuration nodes have their own, then RBAC.
func (s *Server) authorizer(ctx context.Context) (authorizer.Authorizer, error) {
	health, err := path.NewAuthorizer([]string{"/healthz", "/livez", "/readyz"})
	if err != nil {
		return nil, err
	}
	rbac := s.informers.Rbac().V1()
	s.rbac = &authz.RBAC{
		Roles: rbac.Roles().Lister(), RoleBindings: rbac.RoleBindings().Lister(),
		ClusterRoles: rbac.ClusterRoles().Lister(), ClusterRoleBindings: rbac.ClusterRoleBindings().Lister(),
	}
	byNode, byRole := authorizer.AuthorizerFunc((&authz.Node{Pods: s.lookup}).Authorize), authorizer.AuthorizerFunc(s.rbac.Authorize)
	configured := []union.NamedAuthorizer{{AuthorizerName: "node", Authorizer: byNode}, {AuthorizerName: "rbac", Authorizer: byRole}}
	if s.cfg.AuthorizationConfigFile != "" {
		byFile, err := s.configuredAuthorization(ctx, map[string]authorizer.Authorizer{"Node": byNode, "RBAC": byRole})
		if err != nil {
			return nil, err
		}
		configured = []union.NamedAuthorizer{{AuthorizerName: "configured", Authorizer: authorizer.AuthorizerFunc(byFile.Authorize)}}
	}
	return union.New(append([]union.NamedAuthorizer{
		{AuthorizerName: "masters", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		{AuthorizerName: "health", Authorizer: health},
	}, configured...)...)
}

// upgradeAuthorizer asks whether a request that reads may create as well: a GET that upgrades does.
func upgradeAuthorizer(a authorizer.Authorizer) pod.UpgradeAuthorizer {
	return func(ctx context.Context) error {
		attributes, err := filters.GetAuthorizerAttributes(ctx)
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		creating := createAttributes{attributes}
		decision, reason, err := a.Authorize(ctx, creating)
		if decision == authorizer.DecisionAllow {
			return nil
		}
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		gr := schema.GroupResource{Group: attributes.GetAPIGroup(), Resource: attributes.GetResource() + "/" + attributes.GetSubresource()}
		return apierrors.NewForbidden(gr, attributes.GetName(), forbidden{attributes, reason})
	}
}

type createAttributes struct{ authorizer.Attributes }

func (createAttributes) GetVerb() string { return "create" }

func (createAttributes) IsReadOnly() bool { return false }

type forbidden struct {
	a      authorizer.Attributes
	reason string
}

func (f forbidden) Error() string {
	m := "User \"" + f.a.GetUser().GetName() + "\" cannot create resource \"" + f.a.GetResource() + "/" + f.a.GetSubresource() +
		"\" in API group \"" + f.a.GetAPIGroup() + "\" in the namespace \"" + f.a.GetNamespace() + "\""
	if f.reason != "" {
		m += ": " + f.reason
	}
	return m
}
