package apiserver

import (
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func allow(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

// bind gives the user a cluster role.
func bind(t *testing.T, admin kubernetes.Interface, user, role string) {
	t.Helper()
	_, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user + "-" + strings.ReplaceAll(role, ":", "-")},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// give gives the user rules, by a cluster role of that name.
func give(t *testing.T, admin kubernetes.Interface, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind(t, admin, user, user)
}

// may asks whether the user may do something in a namespace.
func may(t *testing.T, admin kubernetes.Interface, user, verb, group, resource string) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	r, err := admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: "x"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Status.Allowed
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	i := start(t)
	admin := clientset(t, i.Admin())
	roles := []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
	give(t, admin, "writer", allow(rbacv1.GroupName, roles, "create", "update", "get"), allow("", []string{"pods"}, "get"))
	give(t, admin, "escalator", allow(rbacv1.GroupName, roles, "create"), allow(rbacv1.GroupName, []string{"roles", "clusterroles"}, "escalate"))
	give(t, admin, "binder", allow(rbacv1.GroupName, roles, "create"), allow(rbacv1.GroupName, []string{"clusterroles"}, "bind"))
	eventually(t, "rights are known", func() bool {
		return may(t, admin, "writer", "get", "", "pods") && may(t, admin, "binder", "bind", rbacv1.GroupName, "clusterroles") && may(t, admin, "escalator", "escalate", rbacv1.GroupName, "roles")
	})
	pods, secrets := allow("", []string{"pods"}, "get"), allow("", []string{"secrets"}, "get")
	role := func(user string, rule rbacv1.PolicyRule) error {
		_, err := clientset(t, i.ClientConfig(user)).RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{GenerateName: user}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
		return err
	}
	binding := func(user, of string) error {
		_, err := clientset(t, i.ClientConfig(user)).RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: of},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "another"}},
		}, metav1.CreateOptions{})
		return err
	}
	for name, c := range map[string]struct {
		err     error
		refused bool
	}{
		"a role of one's own rights":             {role("writer", pods), false},
		"a role of more":                         {role("writer", secrets), true},
		"a role of more, with escalate":          {role("escalator", secrets), false},
		"a binding to one's own rights":          {binding("writer", "writer"), false},
		"a binding to more":                      {binding("writer", "cluster-admin"), true},
		"a binding to more, with bind":           {binding("binder", "cluster-admin"), false},
		"a binding to more, with escalate alone": {binding("escalator", "cluster-admin"), true},
		"a role of more, with bind alone":        {role("binder", secrets), true},
	} {
		if apierrors.IsForbidden(c.err) != c.refused || !c.refused && c.err != nil {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	// An update is judged by what it gives.
	set := clientset(t, i.ClientConfig("writer"))
	made, err := set.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Rules: []rbacv1.PolicyRule{pods}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Labels = map[string]string{"a": "b"}
	if made, err = set.RbacV1().Roles("default").Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	made.Rules = append(made.Rules, secrets)
	if _, err := set.RbacV1().Roles("default").Update(t.Context(), made, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("an update to more: %v", err)
	}
	rich, err := admin.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "rich", Finalizers: []string{"example.com/f"}}, Rules: []rbacv1.PolicyRule{secrets}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labelled := rich.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	if _, err := set.RbacV1().Roles("default").Update(t.Context(), labelled, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another label on a role of more: %v", err)
	}
	rich.Finalizers = nil
	if _, err := set.RbacV1().Roles("default").Update(t.Context(), rich, metav1.UpdateOptions{}); err != nil {
		t.Errorf("a finalizer less: %v", err)
	}
	gather := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "gather"}, AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}}
	if _, err := set.RbacV1().ClusterRoles().Create(t.Context(), gather, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "must have cluster-admin privileges to use the aggregationRule") {
		t.Errorf("a role that gathers rules: %v", err)
	}
}

func TestImpersonationTakesTheRightToEachPart(t *testing.T) {
	i := start(t)
	admin := clientset(t, i.Admin())
	give(t, admin, "jane", allow("", []string{"users"}, "impersonate"))
	give(t, admin, "joe", allow("", []string{"users", "groups"}, "impersonate"), allow("authentication.k8s.io", []string{"uids", "userextras/team"}, "impersonate"))
	eventually(t, "rights are known", func() bool {
		return may(t, admin, "jane", "impersonate", "", "users") && may(t, admin, "joe", "impersonate", "", "users")
	})
	as := func(user string, who rest.ImpersonationConfig) (authenticationv1.UserInfo, error) {
		c := i.ClientConfig(user)
		c.Impersonate = who
		r, err := clientset(t, c).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return authenticationv1.UserInfo{}, err
		}
		return r.Status.UserInfo, nil
	}
	all := rest.ImpersonationConfig{UserName: "eve", UID: "7", Groups: []string{"devs"}, Extra: map[string][]string{"team": {"a"}}}
	u, err := as("joe", all)
	if err != nil || u.Username != "eve" || u.UID != "7" || !slices.Contains(u.Groups, "devs") || !slices.Equal(u.Extra["team"], []string{"a"}) {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := as("jane", rest.ImpersonationConfig{UserName: "eve"}); err != nil || u.Username != "eve" {
		t.Errorf("%+v, %v", u, err)
	}
	for name, who := range map[string]rest.ImpersonationConfig{
		"a group": {UserName: "eve", Groups: []string{"system:masters"}}, "a UID": {UserName: "eve", UID: "7"},
		"an extra": {UserName: "eve", Extra: map[string][]string{"team": {"a"}}}, "an account": {UserName: "system:serviceaccount:default:default"},
	} {
		if u, err := as("jane", who); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	if _, err := as("joe", rest.ImpersonationConfig{UserName: "eve", Extra: map[string][]string{"other": {"a"}}}); !apierrors.IsForbidden(err) {
		t.Errorf("another extra: %v", err)
	}
}

func TestTheDebuggerMayDebugAndNoMore(t *testing.T) {
	admin := clientset(t, start(t).Admin())
	for _, role := range []string{"mayfly:debugger", "view", "edit", "admin"} {
		bind(t, admin, "of-"+strings.TrimPrefix(role, "mayfly:"), role)
	}
	eventually(t, "rights are known", func() bool {
		return may(t, admin, "of-debugger", "get", "", "pods") && may(t, admin, "of-view", "get", "", "pods") && may(t, admin, "of-edit", "get", "", "secrets") && may(t, admin, "of-admin", "create", rbacv1.GroupName, "roles")
	})
	for _, c := range []struct {
		verb, group, resource string
		who                   string // those of debugger, view, edit and admin who may
	}{
		{"patch", "", "pods/ephemeralcontainers", "debugger"},
		{"create", "", "pods/attach", "debugger edit admin"},
		{"get", "", "pods/log", "debugger view edit admin"},
		{"create", "", "pods/exec", "edit admin"},
		{"create", "", "pods", "edit admin"},
		{"delete", "", "pods", "edit admin"},
		{"get", "", "secrets", "edit admin"},
		{"get", "", "configmaps", "view edit admin"},
		{"update", "apps", "deployments", "edit admin"},
		{"create", "rbac.authorization.k8s.io", "rolebindings", "admin"},
		{"update", "", "resourcequotas", ""},
		{"get", "", "nodes", ""},
	} {
		for _, role := range []string{"debugger", "view", "edit", "admin"} {
			if got, want := may(t, admin, "of-"+role, c.verb, c.group, c.resource), slices.Contains(strings.Fields(c.who), role); got != want {
				t.Errorf("%s may %s %s: %t", role, c.verb, c.resource, got)
			}
		}
	}
}
