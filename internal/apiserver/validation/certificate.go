package validation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// legacySigner signed whatever was asked of it; certificates.k8s.io/v1 does not have it.
const legacySigner = "kubernetes.io/legacy-unknown"

// shortestCertificate, in seconds, is the least that may be asked for.
const shortestCertificate = 600

// SigningRequestCreate judges a new request for a certificate. Its name may be anything that fits into a URL.
func SigningRequestCreate(r *certificatesv1.CertificateSigningRequest) field.ErrorList {
	return signingRequest(r, &certificatesv1.CertificateSigningRequest{})
}

// signingRequest bears with faults that the old request has already.
func signingRequest(r, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := created(&r.ObjectMeta, false, func(string, bool) []string { return nil })
	p := field.NewPath("spec")
	if err := signedRequest(r.Spec.Request); err != nil {
		errs = append(errs, field.Invalid(p.Child("request"), r.Spec.Request, err.Error()))
	}
	errs = append(errs, usages(p.Child("usages"), r.Spec.Usages, old.Spec.Usages)...)
	if r.Spec.SignerName == legacySigner && old.Spec.SignerName != legacySigner {
		errs = append(errs, field.Invalid(p.Child("signerName"), r.Spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, signerName(p.Child("signerName"), r.Spec.SignerName)...)
	}
	if s := r.Spec.ExpirationSeconds; s != nil && *s < shortestCertificate {
		errs = append(errs, field.Invalid(p.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, signingConditions(field.NewPath("status", "conditions"), r.Status.Conditions, old.Status.Conditions)...)
	if bytes.Equal(r.Status.Certificate, old.Status.Certificate) || certificateChain(old.Status.Certificate) != nil {
		return errs
	}
	if err := certificateChain(r.Status.Certificate); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("status", "certificate"), "<certificate data>", err.Error()))
	}
	return errs
}

// SigningRequestUpdate judges an update of the request itself, which changes metadata alone.
func SigningRequestUpdate(r, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	return append(signingUpdate(r, old, false), certificateStays(r, old)...)
}

// SigningRequestStatusUpdate judges an update by a signer.
func SigningRequestStatusUpdate(r, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := signingUpdate(r, old, false)
	if len(old.Status.Certificate) > 0 && !bytes.Equal(r.Status.Certificate, old.Status.Certificate) {
		errs = append(errs, field.Forbidden(field.NewPath("status", "certificate"), "updates may not modify existing certificate content"))
	}
	return errs
}

// SigningRequestApproval judges an update by who approves or denies.
func SigningRequestApproval(r, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	return append(signingUpdate(r, old, true), certificateStays(r, old)...)
}

func certificateStays(r, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	if bytes.Equal(r.Status.Certificate, old.Status.Certificate) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("status", "certificate"), "updates may not set certificate content")}
}

// signingUpdate holds what every update keeps to: verdicts stay, and only approving gives the first two of them.
func signingUpdate(r, old *certificatesv1.CertificateSigningRequest, approving bool) field.ErrorList {
	errs := append(signingRequest(r, old), updated(&r.ObjectMeta, &old.ObjectMeta)...)
	p := field.NewPath("status", "conditions")
	for _, t := range verdicts() {
		before, after := conditionsOf(old, t), conditionsOf(r, t)
		switch {
		case len(after) < len(before):
			errs = append(errs, field.Forbidden(p, fmt.Sprintf("updates may not remove a condition of type %q", t)))
		case approving || t == certificatesv1.CertificateFailed:
		case len(after) > len(before):
			errs = append(errs, field.Forbidden(p, fmt.Sprintf("updates may not add a condition of type %q", t)))
		case !equality.Semantic.DeepEqual(before, after):
			errs = append(errs, field.Forbidden(p, fmt.Sprintf("updates may not modify a condition of type %q\n%v", t, difference(before, after))))
		}
	}
	return errs
}

func verdicts() []certificatesv1.RequestConditionType {
	return []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed}
}

func conditionsOf(r *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var found []certificatesv1.CertificateSigningRequestCondition
	for _, c := range r.Status.Conditions {
		if c.Type == t {
			found = append(found, c)
		}
	}
	return found
}

func signedRequest(data []byte) error {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	return r.CheckSignature()
}

// usages holds the rules of what a certificate is to be used for.
func usages(p *field.Path, list, old []certificatesv1.KeyUsage) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(p, "")}
	}
	known := func(u certificatesv1.KeyUsage) bool { return slices.Contains(knownUsages(), u) }
	unknownBefore := slices.ContainsFunc(old, func(u certificatesv1.KeyUsage) bool { return !known(u) })
	var errs field.ErrorList
	for i, u := range list {
		if !unknownBefore {
			errs = append(errs, oneOf(p.Index(i), u, knownUsages()...)...)
		}
		if slices.Contains(list[:i], u) && !repeats(old) {
			errs = append(errs, field.Duplicate(p.Index(i), u))
		}
	}
	return errs
}

func repeats[T comparable](list []T) bool {
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}

func knownUsages() []certificatesv1.KeyUsage {
	all := []certificatesv1.KeyUsage{
		certificatesv1.UsageAny, certificatesv1.UsageCRLSign, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth,
		certificatesv1.UsageCodeSigning, certificatesv1.UsageContentCommitment, certificatesv1.UsageDataEncipherment,
		certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection,
		certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
		certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
		certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning,
		certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
	}
	slices.Sort(all)
	return all
}

func signingConditions(p *field.Path, list, old []certificatesv1.CertificateSigningRequestCondition) field.ErrorList {
	var errs field.ErrorList
	before, seen := conditionTypes(old), map[certificatesv1.RequestConditionType]bool{}
	opposed := func(types []certificatesv1.RequestConditionType) bool {
		return slices.Contains(types, certificatesv1.CertificateApproved) && slices.Contains(types, certificatesv1.CertificateDenied)
	}
	for i, c := range list {
		at := p.Index(i)
		if c.Type == "" && !slices.Contains(before, "") {
			errs = append(errs, field.Required(at.Child("type"), ""))
		}
		allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
		if slices.Contains(verdicts(), c.Type) {
			allowed = []corev1.ConditionStatus{corev1.ConditionTrue}
		}
		errs = append(errs, requiredOneOf(at.Child("status"), c.Status, allowed...)...)
		verdict := c.Type == certificatesv1.CertificateApproved || c.Type == certificatesv1.CertificateDenied
		if verdict && opposed(conditionTypes(list[:i+1])) && !opposed(before) {
			errs = append(errs, field.Invalid(at.Child("type"), c.Type, fmt.Sprintf("%s and %s conditions are mutually exclusive",
				certificatesv1.CertificateApproved, certificatesv1.CertificateDenied)))
		}
		if seen[c.Type] && !repeats(before) {
			errs = append(errs, field.Duplicate(at.Child("type"), c.Type))
		}
		seen[c.Type] = true
	}
	return errs
}

func conditionTypes(list []certificatesv1.CertificateSigningRequestCondition) []certificatesv1.RequestConditionType {
	types := make([]certificatesv1.RequestConditionType, len(list))
	for i := range list {
		types[i] = list[i].Type
	}
	return types
}

// certificateChain accepts nothing, or certificates in PEM.
func certificateChain(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	found := false
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		found = true
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) > 0 {
			return errors.New("no PEM block headers are permitted")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
