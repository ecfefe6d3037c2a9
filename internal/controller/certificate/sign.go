package certificate

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
)

const (
	// longest is how long a certificate lasts at most, and when the request does not say.
	longest = 365 * 24 * time.Hour
	// backdate forgives clocks that are behind. Certificates that last less than short are to last as long as was
	// asked, counted from now.
	backdate = 5 * time.Minute
	short    = 8 * time.Hour
	// serialBits is the length of a serial number.
	serialBits = 128
)

// sign makes the certificate of a request that fits its signer.
func (c *Controller) sign(asked *x509.CertificateRequest, r *certificatesv1.CertificateSigningRequest, now time.Time) ([]byte, error) {
	if !now.Before(c.ca.NotAfter) {
		return nil, fmt.Errorf("the signing authority expired at %s", c.ca.NotAfter)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: asked.Subject, DNSNames: asked.DNSNames, IPAddresses: asked.IPAddresses,
		EmailAddresses: asked.EmailAddresses, URIs: asked.URIs, PublicKey: asked.PublicKey, PublicKeyAlgorithm: asked.PublicKeyAlgorithm,
		NotBefore: now.Add(-backdate), NotAfter: end(r.Spec.ExpirationSeconds, now), BasicConstraintsValid: true,
	}
	if template.NotAfter.After(c.ca.NotAfter) {
		template.NotAfter = c.ca.NotAfter
	}
	if template.KeyUsage, template.ExtKeyUsage, err = keyUsages(r.Spec.Usages); err != nil {
		return nil, err
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, c.ca, asked.PublicKey, c.key)
	if err != nil {
		return nil, err
	}
	return cert.EncodeCertificates(&x509.Certificate{Raw: raw})
}

func end(seconds *int32, now time.Time) time.Time {
	lasts := longest
	if seconds != nil {
		lasts = min(longest, time.Duration(*seconds)*time.Second)
	}
	if lasts < short {
		return now.Add(lasts)
	}
	return now.Add(lasts - backdate)
}

// keyUsages are those of fits, in the terms of X.509.
func keyUsages(list []certificatesv1.KeyUsage) (usage x509.KeyUsage, extended []x509.ExtKeyUsage, err error) {
	for _, u := range list {
		switch u {
		case certificatesv1.UsageDigitalSignature:
			usage |= x509.KeyUsageDigitalSignature
		case certificatesv1.UsageKeyEncipherment:
			usage |= x509.KeyUsageKeyEncipherment
		case certificatesv1.UsageClientAuth:
			extended = append(extended, x509.ExtKeyUsageClientAuth)
		case certificatesv1.UsageServerAuth:
			extended = append(extended, x509.ExtKeyUsageServerAuth)
		default:
			return 0, nil, errors.New("unrecognized usage: " + string(u))
		}
	}
	return usage, extended, nil
}
