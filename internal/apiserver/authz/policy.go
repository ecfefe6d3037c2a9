package authz

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations of what Bootstrap makes: it may be brought up to date at a later start.
const (
	bootstrapLabel       = "kubernetes.io/bootstrapping"
	autoUpdateAnnotation = rbacv1.AutoUpdateAnnotationKey
)

func verbs(v ...string) []string { return v }

func rule(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func urls(paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs("get"), NonResourceURLs: paths}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: bootstrapMeta(name), Rules: rules}
}

func bootstrapMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{bootstrapLabel: "rbac-defaults"},
		Annotations: map[string]string{autoUpdateAnnotation: "true"},
	}
}

// aggregateTo begins the label of a role whose rules become part of the role that the label's rest names.
const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

// part is a role that is part of another.
func part(role rbacv1.ClusterRole, of string) rbacv1.ClusterRole {
	role.Labels[aggregateTo+of] = "true"
	return role
}

// aggregated is a role that is made of others. It is stored with their rules, so that it is good before the controller
// that keeps it so has run.
func aggregated(name string, rules ...[]rbacv1.PolicyRule) rbacv1.ClusterRole {
	role := clusterRole(name, slices.Concat(rules...)...)
	role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchLabels: map[string]string{aggregateTo + name: "true"}},
	}}
	return role
}

// ClusterRoles are those of a fresh server. pods/ephemeralcontainers is in none of admin and edit, as upstream has
// it: mayfly:debugger gives what debugging takes, and no more.
func ClusterRoles() []rbacv1.ClusterRole {
	everything := []string{"*"}
	return append([]rbacv1.ClusterRole{
		clusterRole("cluster-admin",
			rbacv1.PolicyRule{Verbs: everything, APIGroups: everything, Resources: everything},
			rbacv1.PolicyRule{Verbs: everything, NonResourceURLs: everything}),
		clusterRole("system:discovery", urls("/livez", "/readyz", "/healthz", "/version", "/version/", "/openapi", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*")),
		clusterRole("system:public-info-viewer", urls("/livez", "/readyz", "/healthz", "/version", "/version/")),
		clusterRole("system:monitoring", urls("/metrics", "/metrics/slis", "/livez", "/readyz", "/healthz", "/livez/*", "/readyz/*", "/healthz/*", "/flagz", "/statusz"), rule(verbs("get"), "", "nodes/metrics")),
		clusterRole("system:basic-user",
			rule(verbs("create"), "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			rule(verbs("create"), "authentication.k8s.io", "selfsubjectreviews")),
		clusterRole("system:auth-delegator",
			rule(verbs("create"), "authentication.k8s.io", "tokenreviews"),
			rule(verbs("create"), "authorization.k8s.io", "subjectaccessreviews")),
		clusterRole("system:service-account-issuer-discovery",
			urls("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")),
		clusterRole("system:kubelet-api-admin",
			rule(verbs("get", "list", "watch"), "", "nodes"),
			rule(verbs("proxy"), "", "nodes"),
			rule(everything, "", "nodes/log", "nodes/metrics", "nodes/proxy", "nodes/stats"),
			rule(everything, "", "nodes/configz", "nodes/healthz", "nodes/pods")),
		clusterRole("system:node-problem-detector",
			rule(verbs("get"), "", "nodes"),
			rule(verbs("patch"), "", "nodes/status"),
			rbacv1.PolicyRule{Verbs: verbs("create", "patch", "update"), APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}}),
		clusterRole("mayfly:debugger",
			rule(verbs("get", "list", "watch"), "", "pods"),
			rule(verbs("get"), "", "pods/log"),
			rule(verbs("get", "update", "patch"), "", "pods/ephemeralcontainers"),
			rule(verbs("get", "create"), "", "pods/attach")),
	}, append(certificateRoles(), namespaceRoles()...)...)
}

func certificateRoles() []rbacv1.ClusterRole {
	const group = "certificates.k8s.io"
	roles := []rbacv1.ClusterRole{
		clusterRole("system:node-bootstrapper", rule(verbs("create", "get", "list", "watch"), group, "certificatesigningrequests")),
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:nodeclient", rule(verbs("create"), group, "certificatesigningrequests/nodeclient")),
		clusterRole("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", rule(verbs("create"), group, "certificatesigningrequests/selfnodeclient")),
	}
	for _, signer := range []string{"legacy-unknown", "kubelet-serving", "kube-apiserver-client", "kube-apiserver-client-kubelet"} {
		approve := rule(verbs("approve"), group, "signers")
		approve.ResourceNames = []string{"kubernetes.io/" + signer}
		roles = append(roles, clusterRole("system:certificates.k8s.io:"+signer+"-approver", approve))
	}
	return roles
}

func namespaceRoles() []rbacv1.ClusterRole {
	view, edit, admin := viewRules(), editRules(), adminRules()
	// The rules stand in the order that the controller gives them: that of the names of the parts.
	return []rbacv1.ClusterRole{
		part(clusterRole("system:aggregate-to-view", view...), "view"),
		part(clusterRole("system:aggregate-to-edit", edit...), "edit"),
		part(clusterRole("system:aggregate-to-admin", admin...), "admin"),
		part(aggregated("view", view), "edit"),
		part(aggregated("edit", edit, view), "admin"),
		aggregated("admin", edit, view, admin),
	}
}

func viewRules() []rbacv1.PolicyRule {
	read := verbs("get", "list", "watch")
	return []rbacv1.PolicyRule{
		rule(read, "", "configmaps", "pods", "pods/status", "pods/log", "serviceaccounts"),
		rule(read, "", "bindings", "events", "limitranges", "namespaces", "namespaces/status", "resourcequotas", "resourcequotas/status"),
		rule(read, "events.k8s.io", "events"),
		rule(read, "apps", "deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale", "replicasets/status"),
		rule(read, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
	}
}

func editRules() []rbacv1.PolicyRule {
	read := verbs("get", "list", "watch")
	write := verbs("create", "delete", "deletecollection", "patch", "update")
	return []rbacv1.PolicyRule{
		rule(read, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets"),
		rule(verbs("impersonate"), "", "serviceaccounts"),
		rule(write, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
		rule(verbs("create"), "", "pods/eviction"),
		rule(write, "", "configmaps", "events", "secrets", "serviceaccounts"),
		rule(verbs("create"), "", "serviceaccounts/token"),
		rule(write, "apps", "deployments", "deployments/scale", "replicasets", "replicasets/scale"),
		rule(write, "policy", "poddisruptionbudgets"),
		rule(append(read, write...), "coordination.k8s.io", "leases"),
	}
}

func adminRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(verbs("create"), "authorization.k8s.io", "localsubjectaccessreviews"),
		rule(verbs("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"), rbacv1.GroupName, "roles", "rolebindings"),
	}
}

// ClusterRoleBindings are those of a fresh server.
func ClusterRoleBindings() []rbacv1.ClusterRoleBinding {
	bind := func(name string, groups ...string) rbacv1.ClusterRoleBinding {
		b := rbacv1.ClusterRoleBinding{
			ObjectMeta: bootstrapMeta(name),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		}
		for _, g := range groups {
			b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: g})
		}
		return b
	}
	return []rbacv1.ClusterRoleBinding{
		bind("cluster-admin", "system:masters"),
		bind("system:discovery", "system:authenticated"),
		bind("system:basic-user", "system:authenticated"),
		bind("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
		bind("system:monitoring", "system:monitoring"),
		bind("system:service-account-issuer-discovery", "system:serviceaccounts"),
	}
}
