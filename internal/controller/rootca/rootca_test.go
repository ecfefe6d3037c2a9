package rootca

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func TestPublishesAndMends(t *testing.T) {
	tr := trial.New(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	c, err := New(Config{Client: tr.Client, Namespaces: tr.Informers.Core().V1().Namespaces(), RootCA: []byte("PEM")})
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	published := func() bool {
		m, err := tr.Client.CoreV1().ConfigMaps("a").Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil && m.Data["ca.crt"] == "PEM"
	}
	trial.Eventually(t, "published", published)
	m, err := tr.Client.CoreV1().ConfigMaps("a").Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data = map[string]string{"ca.crt": "forged"}
	if _, err := tr.Client.CoreV1().ConfigMaps("a").Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "mended", published)
	if err := tr.Client.CoreV1().ConfigMaps("a").Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "published again", published)
}
