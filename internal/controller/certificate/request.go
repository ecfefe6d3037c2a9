package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
)

const (
	nodesGroup = "system:nodes"
	nodePrefix = "system:node:"
)

// errOtherSigner says that a request is for a signer that is not this one.
var errOtherSigner = errors.New("not a signer of this controller")

func parse(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// fits tells whether a request keeps to the rules of its signer, which are those of
// https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers.
func fits(asked *x509.CertificateRequest, usages []certificatesv1.KeyUsage, signer string) error {
	switch signer {
	case certificatesv1.KubeAPIServerClientSignerName:
		return fitUsages(usages, certificatesv1.UsageClientAuth)
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		if len(asked.DNSNames) > 0 || len(asked.IPAddresses) > 0 {
			return errors.New("DNS and IP subjectAltNames are not allowed")
		}
		return errors.Join(fitNode(asked), fitUsages(usages, certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature))
	case certificatesv1.KubeletServingSignerName:
		if len(asked.DNSNames) == 0 && len(asked.IPAddresses) == 0 {
			return errors.New("DNS or IP subjectAltName is required")
		}
		return errors.Join(fitNode(asked), fitUsages(usages, certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature))
	}
	return errOtherSigner
}

func fitNode(asked *x509.CertificateRequest) error {
	switch {
	case !slices.Equal(asked.Subject.Organization, []string{nodesGroup}):
		return errors.New("subject organization is not " + nodesGroup)
	case !strings.HasPrefix(asked.Subject.CommonName, nodePrefix):
		return errors.New("subject common name does not begin with " + nodePrefix)
	case len(asked.EmailAddresses) > 0:
		return errors.New("email subjectAltNames are not allowed")
	case len(asked.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	}
	return nil
}

// fitUsages wants all of the usages named, and besides at most that of encrypting keys and of signing.
func fitUsages(usages []certificatesv1.KeyUsage, wanted ...certificatesv1.KeyUsage) error {
	allowed := append([]certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment}, wanted...)
	for _, u := range usages {
		if !slices.Contains(allowed, u) {
			return fmt.Errorf("usage %q is not allowed", u)
		}
	}
	for _, u := range wanted {
		if !slices.Contains(usages, u) {
			return fmt.Errorf("usage %q is required", u)
		}
	}
	return nil
}
