package authn

import (
	"crypto/sha256"
	stdx509 "crypto/x509"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/x509"
)

// rememberTime is how long a client certificate is believed without being verified anew. A client sends one with every
// request, and verifying it is a twentieth of the work of a creation.
const rememberTime = 10 * time.Second

// certificates remembers for a moment whom certificates belong to. A certificate that ends, or whose authority is
// replaced, is no longer believed at once.
type certificates struct {
	authority x509.VerifyOptionFunc
	verify    authenticator.Request
	known     *cache.Expiring
}

// verified is what a certificate was verified with.
type verified struct {
	hash  [sha256.Size]byte
	roots *stdx509.CertPool
}

func newCertificates(authority x509.VerifyOptionFunc) *certificates {
	return &certificates{authority, x509.NewDynamic(authority, x509.CommonNameUserConversion), cache.NewExpiring()}
}

// AuthenticateRequest implements authenticator.Request. Those with intermediate authorities are verified every time.
func (c *certificates) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	options, ok := c.authority()
	if !ok || r.TLS == nil || len(r.TLS.PeerCertificates) != 1 {
		return c.verify.AuthenticateRequest(r)
	}
	certificate := r.TLS.PeerCertificates[0]
	key := verified{sha256.Sum256(certificate.Raw), options.Roots}
	if response, ok := c.known.Get(key); ok {
		return response.(*authenticator.Response), true, nil
	}
	response, ok, err := c.verify.AuthenticateRequest(r)
	if ok && err == nil {
		c.known.Set(key, response, min(rememberTime, time.Until(certificate.NotAfter)))
	}
	return response, ok, err
}
