package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRolesOfAnOlderVersionAreBroughtUpToDate makes roles as they were before they were made of others, and one that
// its owner wants left alone.
func TestRolesOfAnOlderVersionAreBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	i := launch(t, dir, nil)
	roles := clientset(t, i.Admin()).RbacV1().ClusterRoles()
	fresh := map[string]*rbacv1.ClusterRole{}
	for _, name := range []string{"admin", "edit", "view"} {
		role, err := roles.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		fresh[name] = role.DeepCopy()
		role.AggregationRule, role.Labels = nil, nil
		role.Rules = role.Rules[:1]
		if name == "view" {
			role.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
		}
		if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	i.Stop()
	i = launch(t, dir, nil)
	t.Cleanup(i.Stop)
	roles = clientset(t, i.Admin()).RbacV1().ClusterRoles()
	for name, want := range fresh {
		role, err := roles.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if name == "view" {
			if role.AggregationRule != nil || len(role.Rules) != 1 {
				t.Errorf("a role that is to be left alone was changed: %+v", role)
			}
			continue
		}
		if d := cmp.Diff([]any{want.Rules, want.AggregationRule, want.Labels}, []any{role.Rules, role.AggregationRule, role.Labels}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
