package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func signingRequest(t *testing.T, name, signer string, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: signer, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature},
		},
	}
}

func approve(r *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	r = r.DeepCopy()
	r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test"})
	return r
}

func TestTheRequestIsItsMakers(t *testing.T) {
	i := start(t)
	r := signingRequest(t, "r", certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "jane"})
	r.Spec.Username, r.Spec.Groups = "root", []string{"system:masters"}
	jane := clientset(t, i.ClientConfig("jane", "devs"))
	grant(t, clientset(t, i.Admin()), "jane", rbacv1.PolicyRule{Verbs: []string{"create", "update"}, APIGroups: []string{certificatesv1.GroupName}, Resources: []string{"*"}})
	r, err := jane.CertificatesV1().CertificateSigningRequests().Create(t.Context(), r, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"devs", "system:authenticated"}, r.Spec.Groups); r.Spec.Username != "jane" || d != "" {
		t.Errorf("made by %s %s", r.Spec.Username, d)
	}
	// She may write the subresource, but the signer is not hers.
	if _, err := jane.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), "r", approve(r), metav1.UpdateOptions{}); !apierrors.IsForbidden(err) ||
		!strings.Contains(err.Error(), `user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client"`) {
		t.Errorf("approval by its maker: %v", err)
	}
	grant(t, clientset(t, i.Admin()), "jane-approves", rbacv1.PolicyRule{Verbs: []string{"approve"}, APIGroups: []string{certificatesv1.GroupName}, Resources: []string{"signers"}, ResourceNames: []string{"kubernetes.io/*"}})
	eventually(t, "the right to approve works", func() bool {
		_, err = jane.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), "r", approve(r), metav1.UpdateOptions{})
		return err == nil
	})
	r.Status.Certificate = []byte("x")
	if _, err := jane.CertificatesV1().CertificateSigningRequests().UpdateStatus(t.Context(), r, metav1.UpdateOptions{}); err == nil {
		t.Error("a certificate by who may not sign")
	}
}

// grant binds rules to the user jane.
func grant(t *testing.T, admin kubernetes.Interface, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "jane"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	i := start(t)
	signer := certificatesv1.KubeAPIServerClientSignerName
	for name, c := range map[string]struct {
		change func(*certificatesv1.CertificateSigningRequest)
		want   string
	}{
		"no request":  {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Request = []byte("x") }, "PEM block type must be CERTIFICATE REQUEST"},
		"no usage":    {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Usages = nil }, "spec.usages: Required value"},
		"odd usage":   {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Usages[0] = "odd" }, `spec.usages[0]: Unsupported value: "odd"`},
		"usage twice": {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Usages[1] = r.Spec.Usages[0] }, `spec.usages[1]: Duplicate value: "client auth"`},
		"legacy":      {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.SignerName = "kubernetes.io/legacy-unknown" }, "the legacy signerName is not allowed"},
		"signer":      {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.SignerName = "x" }, "must be a fully qualified domain and path"},
		"too short":   {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.ExpirationSeconds = new(int32(599)) }, "may not specify a duration less than 600 seconds"},
		"of the group": {func(r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Request = signingRequest(t, "x", signer, pkix.Name{CommonName: "x", Organization: []string{"system:masters"}}).Spec.Request
		}, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"},
	} {
		r := signingRequest(t, "r", signer, pkix.Name{CommonName: "jane"})
		c.change(r)
		_, err := clientset(t, i.Admin()).CertificatesV1().CertificateSigningRequests().Create(t.Context(), r, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAVerdictStays(t *testing.T) {
	i := start(t)
	api := clientset(t, i.Admin()).CertificatesV1().CertificateSigningRequests()
	r, err := api.Create(t.Context(), signingRequest(t, "r", certificatesv1.KubeAPIServerClientSignerName, pkix.Name{CommonName: "jane"}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Not by the signer's subresource.
	if s, err := api.UpdateStatus(t.Context(), approve(r), metav1.UpdateOptions{}); err != nil || len(s.Status.Conditions) != 0 {
		t.Errorf("approved by status: %v %v", s.Status.Conditions, err)
	}
	if r, err = api.Get(t.Context(), "r", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if r, err = api.UpdateApproval(t.Context(), "r", approve(r), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := r.Status.Conditions; len(c) != 1 || c[0].LastUpdateTime.IsZero() || c[0].LastTransitionTime.IsZero() {
		t.Errorf("conditions: %+v", c)
	}
	denied := r.DeepCopy()
	denied.Status.Conditions = append(denied.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue})
	if _, err := api.UpdateApproval(t.Context(), "r", denied, metav1.UpdateOptions{}); err == nil || !strings.Contains(err.Error(), "mutually exclusive") {
		t.Errorf("denied as well: %v", err)
	}
	r.Status.Conditions = nil
	if _, err := api.UpdateApproval(t.Context(), "r", r, metav1.UpdateOptions{}); err == nil || !strings.Contains(err.Error(), "may not remove a condition") {
		t.Errorf("taken back: %v", err)
	}
}

func TestANodeAsksForItselfAlone(t *testing.T) {
	i := start(t)
	api := clientset(t, i.ClientConfig("system:node:n", "system:nodes")).CertificatesV1().CertificateSigningRequests()
	for name, own := range map[string]bool{"system:node:n": true, "system:node:other": false} {
		r := signingRequest(t, strings.ReplaceAll(name, ":", "-"), certificatesv1.KubeletServingSignerName, pkix.Name{CommonName: name, Organization: []string{"system:nodes"}})
		if _, err := api.Create(t.Context(), r, metav1.CreateOptions{}); (err == nil) != own {
			t.Errorf("%s: %v", name, err)
		}
	}
}
