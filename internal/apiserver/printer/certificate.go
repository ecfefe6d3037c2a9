package printer

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

func certificateSheets() []sheet {
	spec := certificatesv1.CertificateSigningRequestSpec{}.SwaggerDoc()
	return []sheet{
		of[certificatesv1.CertificateSigningRequest, certificatesv1.CertificateSigningRequestList](func(o *certificatesv1.CertificateSigningRequest, now time.Time) []any {
			requested := none
			if s := o.Spec.ExpirationSeconds; s != nil {
				requested = duration.HumanDuration(time.Duration(*s) * time.Second)
			}
			return []any{o.Name, since(o.CreationTimestamp, now), o.Spec.SignerName, o.Spec.Username, requested, progress(o)}
		}, nameColumn(), ageColumn(), column("SignerName", "string", spec["signerName"]),
			column("Requestor", "string", spec["request"]), column("RequestedDuration", "string", spec["expirationSeconds"]),
			column("Condition", "string", certificatesv1.CertificateSigningRequestStatus{}.SwaggerDoc()["conditions"])),
	}
}

// progress is how far a request for a certificate has come.
func progress(r *certificatesv1.CertificateSigningRequest) string {
	has := map[certificatesv1.RequestConditionType]bool{}
	for _, c := range r.Status.Conditions {
		has[c.Type] = true
	}
	text := "Pending"
	switch {
	case has[certificatesv1.CertificateDenied]:
		text = "Denied"
	case has[certificatesv1.CertificateApproved]:
		text = "Approved"
	}
	if has[certificatesv1.CertificateFailed] {
		text += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		text += ",Issued"
	}
	return text
}
