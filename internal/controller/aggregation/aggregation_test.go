package aggregation

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/controller/trial"
)

func TestRulesFollowTheParts(t *testing.T) {
	rule := func(resource string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}
	}
	label := map[string]string{"part-of": "whole"}
	part := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: label}, Rules: rules}
	}
	whole := part("whole", rule("stale"))
	whole.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}}
	tr := trial.New(t, whole, part("b", rule("pods")), part("a", rule("secrets"), rule("pods")))
	c, err := New(tr.Client, tr.Informers.Rbac().V1().ClusterRoles())
	if err != nil {
		t.Fatal(err)
	}
	tr.Run(t, c.Run)
	roles := tr.Client.RbacV1().ClusterRoles()
	holds := func(want ...string) func() bool {
		return func() bool {
			r, err := roles.Get(t.Context(), "whole", metav1.GetOptions{})
			if err != nil || len(r.Rules) != len(want) {
				return false
			}
			for i := range want {
				if r.Rules[i].Resources[0] != want[i] {
					return false
				}
			}
			return true
		}
	}
	trial.Eventually(t, "the parts' rules, each once", holds("secrets", "pods"))
	if err := roles.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "the rules that are left", holds("pods"))
	if _, err := roles.Create(t.Context(), part("c", rule("nodes")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "the new part's rules", holds("pods", "nodes"))
}
