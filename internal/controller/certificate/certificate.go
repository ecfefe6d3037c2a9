// Package certificate answers requests for certificates as kube-controller-manager does: it approves those of nodes
// for their client certificates, signs what is approved for the signers of kubernetes.io, and removes old requests.
package certificate

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certinformers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"
	certlisters "k8s.io/client-go/listers/certificates/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// Config is what the controller needs.
type Config struct {
	Client   kubernetes.Interface
	Requests certinformers.CertificateSigningRequestInformer
	// CACert and CAKey, PEM, are the authority that signs; without them nothing is signed.
	CACert, CAKey []byte
}

// Controller approves, signs and removes.
type Controller struct {
	client   kubernetes.Interface
	requests certlisters.CertificateSigningRequestLister
	ca       *x509.Certificate
	key      crypto.Signer
	queue    *work.Queue
}

// New returns the controller.
func New(cfg Config) (*Controller, error) {
	c := &Controller{client: cfg.Client, requests: cfg.Requests.Lister()}
	if len(cfg.CAKey) > 0 {
		if err := c.load(cfg); err != nil {
			return nil, fmt.Errorf("signing authority: %w", err)
		}
	}
	c.queue = work.New(work.Config{Name: "certificate", Do: c.sync})
	if _, err := cfg.Requests.Informer().AddEventHandler(c.queue.Handler()); err != nil {
		return nil, fmt.Errorf("watch certificate signing requests: %w", err)
	}
	return c, nil
}

func (c *Controller) load(cfg Config) error {
	certs, err := cert.ParseCertsPEM(cfg.CACert)
	if err != nil {
		return err
	}
	key, err := keyutil.ParsePrivateKeyPEM(cfg.CAKey)
	if err != nil {
		return err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a %T cannot sign", key)
	}
	c.ca, c.key = certs[0], signer
	return nil
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error { return c.queue.Run(ctx) }

func (c *Controller) sync(ctx context.Context, name string) error {
	stored, err := c.requests.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get request: %w", err)
	}
	left := time.Until(expiry(stored))
	if left <= 0 {
		return c.remove(ctx, stored)
	}
	c.queue.AddAfter(name, left)
	r := stored.DeepCopy()
	switch {
	case len(r.Status.Certificate) > 0 || has(r, certificatesv1.CertificateDenied) || has(r, certificatesv1.CertificateFailed):
		return nil
	case !has(r, certificatesv1.CertificateApproved):
		return c.approve(ctx, r)
	case c.key == nil:
		return nil
	}
	return c.answer(ctx, r)
}

func (c *Controller) remove(ctx context.Context, r *certificatesv1.CertificateSigningRequest) error {
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(r.UID))}
	err := c.client.CertificatesV1().CertificateSigningRequests().Delete(ctx, r.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete old request: %w", err)
	}
	return nil
}

// answer signs an approved request, or says why it cannot be.
func (c *Controller) answer(ctx context.Context, r *certificatesv1.CertificateSigningRequest) error {
	asked, err := parse(r.Spec.Request)
	if err != nil {
		return fmt.Errorf("parse request: %w", err)
	}
	switch err := fits(asked, r.Spec.Usages, r.Spec.SignerName); {
	case errors.Is(err, errOtherSigner):
		return nil
	case err != nil:
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "SignerValidationFailure", Message: err.Error(),
		})
	default:
		if r.Status.Certificate, err = c.sign(asked, r, time.Now()); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
	}
	_, err = c.client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, r, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update status: %w", err)
	}
	return nil
}

func has(r *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == t })
}
