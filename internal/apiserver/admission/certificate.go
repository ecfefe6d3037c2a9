package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// certificates lets only those approve, deny or sign requests for certificates who may do so for the request's signer,
// and lets nobody ask for a certificate that makes its holder system:masters.
type certificates struct {
	*admission.Handler
	auth authorizer.UnconditionalAuthorizer
}

func newCertificates(auth authorizer.UnconditionalAuthorizer) *certificates {
	return &certificates{admission.NewHandler(admission.Create, admission.Update), auth}
}

// Validate implements admission.ValidationInterface.
func (c *certificates) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != certificatesv1.Resource("certificatesigningrequests") {
		return nil
	}
	r, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return nil
	}
	var err error
	switch old, _ := a.GetOldObject().(*certificatesv1.CertificateSigningRequest); {
	case a.GetOperation() == admission.Create:
		err = unprivileged(r)
	case old == nil:
	case a.GetSubresource() == "approval" && !c.may(ctx, a.GetUserInfo(), "approve", old.Spec.SignerName):
		err = fmt.Errorf("user not permitted to approve requests with signerName %q", old.Spec.SignerName)
	case a.GetSubresource() == "status" && signs(r, old) && !c.may(ctx, a.GetUserInfo(), "sign", old.Spec.SignerName):
		err = fmt.Errorf("user not permitted to sign requests with signerName %q", old.Spec.SignerName)
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// signs tells whether an update gives a certificate, or the signer's refusal.
func signs(r, old *certificatesv1.CertificateSigningRequest) bool {
	return !bytes.Equal(r.Status.Certificate, old.Status.Certificate) || failed(r) != failed(old)
}

func failed(r *certificatesv1.CertificateSigningRequest) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == certificatesv1.CertificateFailed
	})
}

// may asks for the verb on the signer itself, and on all signers of its domain.
func (c *certificates) may(ctx context.Context, u user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	return slices.ContainsFunc([]string{signer, domain + "/*"}, func(name string) bool {
		decision, _, _ := c.auth.Authorize(ctx, authorizer.AttributesRecord{
			User: u, Verb: verb, Name: name, APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		return decision == authorizer.DecisionAllow
	})
}

func unprivileged(r *certificatesv1.CertificateSigningRequest) error {
	if r.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	asked, err := certificateRequest(r)
	if err != nil {
		return err
	}
	if slices.Contains(asked.Subject.Organization, user.SystemPrivilegedGroup) {
		return fmt.Errorf("use of %s signer with %s group is not allowed", r.Spec.SignerName, user.SystemPrivilegedGroup)
	}
	return nil
}

// ownCertificate keeps a node to certificates of its own name.
func ownCertificate(node string, a admission.Attributes) error {
	r, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok || a.GetOperation() != admission.Create {
		return nil
	}
	if r.Spec.SignerName != certificatesv1.KubeletServingSignerName && r.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	asked, err := certificateRequest(r)
	if err != nil {
		return err
	}
	if want := "system:node:" + node; asked.Subject.CommonName != want {
		return fmt.Errorf("can only create a node CSR with CN=%s", want)
	}
	return nil
}

func certificateRequest(r *certificatesv1.CertificateSigningRequest) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(r.Spec.Request)
	if block == nil {
		return nil, fmt.Errorf("unable to parse CSR %q: no PEM block", r.Name)
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("unable to parse CSR %q: %w", r.Name, err)
	}
	return asked, nil
}
