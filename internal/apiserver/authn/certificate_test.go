package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// signed makes an authority and a certificate of it for jane that ends after a while.
func signed(t *testing.T, lifetime time.Duration) (*x509.CertPool, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "jane", Organization: []string{"team"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	pool := x509.NewCertPool()
	for _, made := range []*x509.Certificate{ca, leaf} {
		der, err := x509.CreateCertificate(rand.Reader, made, ca, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if made == ca {
			pool.AddCert(parsed)
		}
		*made = *parsed
	}
	return pool, leaf
}

// counting counts what is verified.
type counting struct {
	authenticator.Request
	times int
}

func (c *counting) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	c.times++
	return c.Request.AuthenticateRequest(r)
}

func TestCertificatesAreRemembered(t *testing.T) {
	roots, leaf := signed(t, time.Hour)
	c := newCertificates(func() (x509.VerifyOptions, bool) {
		return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
	})
	count := &counting{Request: c.verify}
	c.verify = count
	r := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
	for range 3 {
		response, ok, err := c.AuthenticateRequest(r)
		if err != nil || !ok || response.User.GetName() != "jane" || response.User.GetGroups()[0] != "team" {
			t.Fatalf("%v %v %v", response, ok, err)
		}
	}
	if count.times != 1 {
		t.Errorf("verified %d times", count.times)
	}
	roots, _ = signed(t, time.Hour) // the authority is replaced
	if _, ok, err := c.AuthenticateRequest(r); ok || err == nil {
		t.Errorf("a certificate of an authority that was replaced is believed: %v %v", ok, err)
	}
}

func TestACertificateThatEndsIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roots, leaf := signed(t, rememberTime/2)
		c := newCertificates(func() (x509.VerifyOptions, bool) {
			return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
		})
		r := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
		if _, ok, err := c.AuthenticateRequest(r); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(rememberTime/2 + time.Second) // of the test's own clock
		if _, ok, err := c.AuthenticateRequest(r); ok || err == nil {
			t.Errorf("a certificate that is over is believed: %v %v", ok, err)
		}
	})
}
