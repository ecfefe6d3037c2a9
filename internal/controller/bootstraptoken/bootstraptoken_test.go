package bootstraptoken

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func TestTokensThatAreOverGo(t *testing.T) {
	token := func(name string, kind corev1.SecretType, end string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Type: kind, Data: map[string][]byte{}}
		if end != "" {
			s.Data["expiration"] = []byte(end)
		}
		return s
	}
	in := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339) }
	tr := trial.New(t,
		token("stays", corev1.SecretTypeBootstrapToken, ""), token("later", corev1.SecretTypeBootstrapToken, in(time.Hour)),
		token("other", corev1.SecretTypeOpaque, in(-time.Hour)),
		token("over", corev1.SecretTypeBootstrapToken, in(-time.Hour)), token("soon", corev1.SecretTypeBootstrapToken, in(time.Second)))
	c, err := New(tr.Client)
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	exists := func(name string) bool {
		_, err := tr.Client.CoreV1().Secrets("kube-system").Get(t.Context(), name, metav1.GetOptions{})
		return !apierrors.IsNotFound(err)
	}
	trial.Eventually(t, "tokens that are over go", func() bool { return !exists("over") && !exists("soon") })
	for _, name := range []string{"stays", "later", "other"} {
		if !exists(name) {
			t.Errorf("%s is gone", name)
		}
	}
}
