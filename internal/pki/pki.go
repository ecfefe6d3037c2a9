// Package pki makes and keeps the certificates and keys of one Mayfly: its own certificate authority, the API
// server's serving certificate, the administrator's client certificate, and the key that signs service-account
// tokens. What exists and is still good is kept, so that kubeconfigs handed out stay valid across restarts.
package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/continuity"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Leaf certificates last a year and are renewed in the last month of it.
const (
	leafLifetime = 365 * 24 * time.Hour
	renewBefore  = 30 * 24 * time.Hour
)

// Files are the paths of what Ensure keeps; all are PEM, keys have mode 0600.
type Files struct {
	CACert, CAKey           string
	ServingCert, ServingKey string
	AdminCert, AdminKey     string
	ServiceAccountKey       string
}

// NewFiles names the files of the authority that is kept in dir.
func NewFiles(dir string) Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Files{
		CACert: at("ca.crt"), CAKey: at("ca.key"),
		ServingCert: at("apiserver.crt"), ServingKey: at("apiserver.key"),
		AdminCert: at("admin.crt"), AdminKey: at("admin.key"),
		ServiceAccountKey: at("service-account.key"),
	}
}

// Ensure makes what is missing in dir, or about to expire, or, for the serving certificate, does not name one of
// hosts (host names or IP addresses). A file that cannot be read as what it should be is an error that names it:
// an authority is never replaced silently, since every client would stop trusting this server.
func Ensure(dir string, hosts []string) (Files, error) {
	f := NewFiles(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, fmt.Errorf("create key directory: %w", err)
	}
	authority, err := ensureAuthority(f)
	if err != nil {
		return f, err
	}
	if _, err := ensureKey(f.ServiceAccountKey); err != nil {
		return f, fmt.Errorf("%w; restore it, or remove it to have a new one: tokens of service accounts end then", err)
	}
	serving := servingTemplate(hosts)
	if err := authority.ensureLeaf(f.ServingCert, f.ServingKey, serving); err != nil {
		return f, err
	}
	return f, authority.ensureLeaf(f.AdminCert, f.AdminKey, adminTemplate())
}

func servingTemplate(hosts []string) x509.Certificate {
	t := x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}

func adminTemplate() x509.Certificate {
	return x509.Certificate{
		Subject:     pkix.Name{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func ensureAuthority(f Files) (authority, error) {
	if _, err := os.Stat(f.CACert); errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(f); err != nil {
			return authority{}, err
		}
	}
	const remedy = "restore it, or remove %s to have a new authority: kubeconfigs that were handed out end then"
	key, err := signer(f.CAKey)
	if err != nil {
		return authority{}, fmt.Errorf("%w; "+remedy, err, filepath.Dir(f.CAKey))
	}
	certs, err := cert.CertsFromFile(f.CACert)
	if err != nil {
		return authority{}, fmt.Errorf("read certificate authority: %w; "+remedy, err, filepath.Dir(f.CACert))
	}
	return authority{certs[0], key}, nil
}

// makeAuthority writes the key before the certificate: the certificate's presence says that both are there.
func makeAuthority(f Files) error {
	key, err := ensureKey(f.CAKey)
	if err != nil {
		return err
	}
	c, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "mayfly"}, key)
	if err != nil {
		return fmt.Errorf("sign certificate authority: %w", err)
	}
	return writeCert(f.CACert, c.Raw)
}

func (a authority) ensureLeaf(certFile, keyFile string, want x509.Certificate) error {
	if certs, err := cert.CertsFromFile(certFile); err == nil && a.good(certs[0], want) {
		if _, err := signer(keyFile); err == nil {
			return nil
		}
	}
	key, err := ensureKey(keyFile)
	if err != nil {
		return fmt.Errorf("%w; remove it, and a new one is made", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("serial number: %w", err)
	}
	want.SerialNumber = serial
	want.NotBefore = time.Now().Add(-5 * time.Minute)
	want.NotAfter = time.Now().Add(leafLifetime)
	want.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	raw, err := x509.CreateCertificate(rand.Reader, &want, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign certificate %s: %w", certFile, err)
	}
	return writeCert(certFile, raw)
}

func (a authority) good(have *x509.Certificate, want x509.Certificate) bool {
	if have.CheckSignatureFrom(a.cert) != nil || time.Until(have.NotAfter) < renewBefore {
		return false
	}
	for _, name := range want.DNSNames {
		if have.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, ip := range want.IPAddresses {
		if have.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return true
}

// ensureKey reads the private key in file, or makes it where there is none.
func ensureKey(file string) (crypto.Signer, error) {
	key, err := signer(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, _, err := keyutil.LoadOrGenerateKeyFile(file); err != nil {
		return nil, fmt.Errorf("make private key %s: %w", file, err)
	}
	return signer(file)
}

func signer(file string) (crypto.Signer, error) {
	key, err := keyutil.PrivateKeyFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", file, err)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key %s: a %T cannot sign", file, key)
	}
	return s, nil
}

func writeCert(file string, raw []byte) error {
	data, err := cert.EncodeCertificates(&x509.Certificate{Raw: raw})
	if err != nil {
		return fmt.Errorf("encode certificate %s: %w", file, err)
	}
	if err := continuity.AtomicWriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
