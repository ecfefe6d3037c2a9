package certificate

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
)

// How long requests are kept, as kube-controller-manager keeps them.
const (
	keepAnswered = time.Hour
	keepPending  = 24 * time.Hour
)

// expiry is when a request is of no more use: an hour after its answer, or the end of the certificate that it was issued,
// or a day after it was made when nobody answers it.
func expiry(r *certificatesv1.CertificateSigningRequest) time.Time {
	end := r.CreationTimestamp.Add(keepPending)
	for _, c := range r.Status.Conditions {
		if answered := c.LastUpdateTime.Add(keepAnswered); !c.LastUpdateTime.IsZero() && answered.Before(end) {
			end = answered
		}
	}
	if certs, err := cert.ParseCertsPEM(r.Status.Certificate); err == nil && certs[0].NotAfter.Before(end) {
		end = certs[0].NotAfter
	}
	return end
}
