package apiserver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
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

func (s *Server) authenticator(ca dynamiccertificates.CAContentProvider) (authenticator.Request, error) {
	s.lookup = &lookup{}
	c := authn.Config{InProcess: loopback.Authenticator(), ClientCA: ca.VerifyOptions}
	if s.cfg.ServiceAccountKeyFile != "" {
		tokens, err := authn.NewTokens(s.cfg.ServiceAccountKeyFile, s.cfg.ServiceAccountIssuer, s.lookup)
		if err != nil {
			return nil, err
		}
		s.tokens, s.bearer = tokens, tokens
	}
	if s.cfg.TokenAuthFile != "" {
		static, err := tokenfile.NewCSV(s.cfg.TokenAuthFile)
		if err != nil {
			return nil, fmt.Errorf("static tokens: %w", err)
		}
		if s.bearer != nil {
			s.bearer = tokenunion.New(static, s.bearer)
		} else {
			s.bearer = static
		}
	}
	c.Token = s.bearer
	return authn.New(c), nil
}

// authenticated judges a bearer token for a TokenReview.
func (s *Server) authenticated(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if s.bearer == nil {
		return nil, false, nil
	}
	return s.bearer.AuthenticateToken(ctx, token)
}

// authorizer asks, in this order: system:masters may all, health is everybody's, nodes have their own, then RBAC.
func (s *Server) authorizer() (authorizer.Authorizer, error) {
	health, err := path.NewAuthorizer([]string{"/healthz", "/livez", "/readyz"})
	if err != nil {
		return nil, err
	}
	rbac := s.informers.Rbac().V1()
	s.rbac = &authz.RBAC{
		Roles: rbac.Roles().Lister(), RoleBindings: rbac.RoleBindings().Lister(),
		ClusterRoles: rbac.ClusterRoles().Lister(), ClusterRoleBindings: rbac.ClusterRoleBindings().Lister(),
	}
	node := &authz.Node{Pods: s.lookup}
	return union.New(
		union.NamedAuthorizer{AuthorizerName: "masters", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "health", Authorizer: health},
		union.NamedAuthorizer{AuthorizerName: "node", Authorizer: authorizer.AuthorizerFunc(node.Authorize)},
		union.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: authorizer.AuthorizerFunc(s.rbac.Authorize)},
	)
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
