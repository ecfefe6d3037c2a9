package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

// authority makes a CA, in PEM.
func authority(t *testing.T) (caCert, caKey []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "test"}, key)
	if err != nil {
		t.Fatal(err)
	}
	caCert, err = cert.EncodeCertificates(ca)
	if err != nil {
		t.Fatal(err)
	}
	caKey, err = keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return caCert, caKey
}

func request(t *testing.T, name, signer string, template x509.CertificateRequest, usages ...certificatesv1.KeyUsage) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Now()},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: signer, Usages: usages,
		},
	}
}

func approved(r *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, LastUpdateTime: metav1.Now(),
	})
	return r
}

func run(t *testing.T, requests ...runtime.Object) (tr *trial.Trial, caCert []byte) {
	t.Helper()
	tr = trial.New(t, requests...)
	// Who is called "granted" may have certificates of nodes.
	tr.Client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = review.Spec.User == "granted" && review.Spec.ResourceAttributes.Subresource == "nodeclient"
		return true, review, nil
	})
	caCert, caKey := authority(t)
	c, err := New(Config{Client: tr.Client, Requests: tr.Informers.Certificates().V1().CertificateSigningRequests(), CACert: caCert, CAKey: caKey})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	return tr, caCert
}

func get(t *testing.T, tr *trial.Trial, name string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	r, err := tr.Client.CertificatesV1().CertificateSigningRequests().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	jane = x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane", Organization: []string{"devs"}}}
	node = x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n", Organization: []string{"system:nodes"}}}
)

func TestApprovedRequestsAreSigned(t *testing.T) {
	r := approved(request(t, "jane", certificatesv1.KubeAPIServerClientSignerName, jane, certificatesv1.UsageClientAuth))
	seconds := int32(3600)
	r.Spec.ExpirationSeconds = &seconds
	tr, caCert := run(t, r)
	trial.Eventually(t, "a certificate", func() bool { return len(get(t, tr, "jane").Status.Certificate) > 0 })
	certs, err := cert.ParseCertsPEM(get(t, tr, "jane").Status.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := cert.NewPoolFromBytes(caCert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if c := certs[0]; c.Subject.CommonName != "jane" || c.Subject.Organization[0] != "devs" || c.IsCA || time.Until(c.NotAfter) > time.Hour {
		t.Errorf("certificate of %s until %s, CA %t", c.Subject, c.NotAfter, c.IsCA)
	}
}

func TestNodesOfThoseWhoMayAreApproved(t *testing.T) {
	usages := []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature}
	granted := request(t, "granted", certificatesv1.KubeAPIServerClientKubeletSignerName, node, usages...)
	granted.Spec.Username = "granted"
	other := request(t, "other", certificatesv1.KubeAPIServerClientKubeletSignerName, node, usages...)
	other.Spec.Username = "other"
	person := request(t, "person", certificatesv1.KubeAPIServerClientSignerName, jane, certificatesv1.UsageClientAuth)
	person.Spec.Username = "granted"
	tr, _ := run(t, other, person, granted)
	trial.Eventually(t, "a certificate", func() bool { return len(get(t, tr, "granted").Status.Certificate) > 0 })
	for _, name := range []string{"other", "person"} {
		if r := get(t, tr, name); len(r.Status.Conditions) > 0 || len(r.Status.Certificate) > 0 {
			t.Errorf("%s: %+v", name, r.Status)
		}
	}
}

func TestOldRequestsGo(t *testing.T) {
	r := request(t, "old", certificatesv1.KubeAPIServerClientSignerName, jane, certificatesv1.UsageClientAuth)
	r.CreationTimestamp = metav1.NewTime(time.Now().Add(-keepPending - time.Minute))
	tr, _ := run(t, r)
	trial.Eventually(t, "gone", func() bool {
		_, err := tr.Client.CertificatesV1().CertificateSigningRequests().Get(t.Context(), "old", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestWhatSignersWant(t *testing.T) {
	client, serving, digital := certificatesv1.UsageClientAuth, certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature
	with := func(change func(*x509.CertificateRequest)) x509.CertificateRequest {
		r := node
		change(&r)
		return r
	}
	ip := with(func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	for name, c := range map[string]struct {
		signer string
		asked  x509.CertificateRequest
		usages []certificatesv1.KeyUsage
		good   bool
	}{
		"person":                 {certificatesv1.KubeAPIServerClientSignerName, jane, []certificatesv1.KeyUsage{client}, true},
		"person who serves":      {certificatesv1.KubeAPIServerClientSignerName, jane, []certificatesv1.KeyUsage{client, serving}, false},
		"no client":              {certificatesv1.KubeAPIServerClientSignerName, jane, []certificatesv1.KeyUsage{digital}, false},
		"node":                   {certificatesv1.KubeAPIServerClientKubeletSignerName, node, []certificatesv1.KeyUsage{client, digital}, true},
		"node that is a person":  {certificatesv1.KubeAPIServerClientKubeletSignerName, jane, []certificatesv1.KeyUsage{client, digital}, false},
		"node with an address":   {certificatesv1.KubeAPIServerClientKubeletSignerName, ip, []certificatesv1.KeyUsage{client, digital}, false},
		"serving":                {certificatesv1.KubeletServingSignerName, ip, []certificatesv1.KeyUsage{serving, digital}, true},
		"serving without a name": {certificatesv1.KubeletServingSignerName, node, []certificatesv1.KeyUsage{serving, digital}, false},
		"somebody else's":        {"example.com/signer", jane, []certificatesv1.KeyUsage{client}, false},
	} {
		if err := fits(&c.asked, c.usages, c.signer); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatDoesNotFitFails(t *testing.T) {
	tr, _ := run(t, approved(request(t, "r", certificatesv1.KubeletServingSignerName, node, certificatesv1.UsageServerAuth)))
	trial.Eventually(t, "failed", func() bool { return has(get(t, tr, "r"), certificatesv1.CertificateFailed) })
}
