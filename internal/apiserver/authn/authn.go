// Package authn finds out who sends a request: a client certificate, a service-account token, or a part of this
// process. Anonymous requests reach the health endpoints only.
package authn

import (
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
)

// Config says what is believed.
type Config struct {
	// InProcess recognizes callers of this process.
	InProcess authenticator.Request
	// ClientCA verifies client certificates.
	ClientCA x509.VerifyOptionFunc
	// Token verifies bearer tokens; nil believes none.
	Token authenticator.Token
	// Anonymous says where requests may come without credentials; nil are the health endpoints.
	Anonymous *apiserverapi.AnonymousAuthConfig
}

// New asks each kind of credentials in turn. Bad credentials are refused, not taken as none.
func New(c Config) authenticator.Request {
	all := []authenticator.Request{c.InProcess, newCertificates(c.ClientCA)}
	if c.Token != nil {
		all = append(all, bearertoken.New(c.Token), websocket.NewProtocolAuthenticator(c.Token))
	}
	known := group.NewAuthenticatedGroupAdder(union.New(all...))
	where := []apiserverapi.AnonymousAuthCondition{{Path: "/healthz"}, {Path: "/livez"}, {Path: "/readyz"}}
	if c.Anonymous != nil {
		if !c.Anonymous.Enabled {
			return known
		}
		where = c.Anonymous.Conditions
	}
	return union.NewFailOnError(known, anonymous.NewAuthenticator(where))
}
