package serviceaccount

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func TestEveryNamespaceHasADefaultAccount(t *testing.T) {
	now := metav1.Now()
	dying := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dying", DeletionTimestamp: &now, Finalizers: []string{"x"}}}
	tr := trial.New(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "old"}}, dying)
	core := tr.Informers.Core().V1()
	c, err := New(tr.Client, core.Namespaces(), core.ServiceAccounts())
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	exists := func(namespace string) bool {
		_, err := tr.Client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	}
	trial.Eventually(t, "old namespace has it", func() bool { return exists("old") })
	if _, err := tr.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "new namespace has it", func() bool { return exists("new") })
	trial.Eventually(t, "the cache knows it", func() bool {
		_, err := core.ServiceAccounts().Lister().ServiceAccounts("new").Get("default")
		return err == nil
	})
	if err := tr.Client.CoreV1().ServiceAccounts("new").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "it is created again", func() bool { return exists("new") })
	if exists("dying") {
		t.Error("a namespace that is being deleted got an account")
	}
}
