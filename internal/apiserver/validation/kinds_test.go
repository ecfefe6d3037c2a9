package validation_test

import (
	"encoding/json"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// creating makes a test's check from a kind's defaults and its rules.
func creating[T any](set func(*T), judge func(*T) field.ErrorList) func(*testing.T, string) field.ErrorList {
	return func(t *testing.T, body string) field.ErrorList {
		t.Helper()
		o := new(T)
		if err := json.Unmarshal([]byte(body), o); err != nil {
			t.Fatal(err)
		}
		if set != nil {
			set(o)
		}
		return judge(o)
	}
}

// TestKindRules covers the creation of every kind but Pods: the refused fields, none if valid.
func TestKindRules(t *testing.T) {
	namespace := creating(defaults.SetNamespace, validation.NamespaceCreate)
	configMap := creating(nil, validation.ConfigMapCreate)
	secret := creating(defaults.SetSecret, validation.SecretCreate)
	account := creating(nil, validation.ServiceAccountCreate)
	node := creating(defaults.SetNode, validation.NodeCreate)
	event := creating(nil, validation.EventCreate)
	lease := creating[coordinationv1.Lease](nil, validation.LeaseCreate)
	deployment := creating(defaults.SetDeployment, validation.DeploymentCreate)
	replicaSet := creating[appsv1.ReplicaSet](defaults.SetReplicaSet, validation.ReplicaSetCreate)
	priority := creating[schedulingv1.PriorityClass](defaults.SetPriorityClass, validation.PriorityClassCreate)
	class := creating[nodev1.RuntimeClass](nil, validation.RuntimeClassCreate)
	budget := creating[policyv1.PodDisruptionBudget](nil, validation.PodDisruptionBudgetCreate)
	quota := creating[corev1.ResourceQuota](defaults.SetResourceQuota, validation.ResourceQuotaCreate)
	limits := creating[corev1.LimitRange](defaults.SetLimitRange, validation.LimitRangeCreate)
	role := creating[rbacv1.Role](nil, validation.RoleCreate)
	clusterRole := creating[rbacv1.ClusterRole](nil, validation.ClusterRoleCreate)
	binding := creating(defaults.SetRoleBinding, validation.RoleBindingCreate)
	const meta, cluster = `"metadata":{"name":"n","namespace":"ns"}`, `"metadata":{"name":"n"}`
	const template = `"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	for name, c := range map[string]struct {
		check      func(*testing.T, string) field.ErrorList
		body, want string
	}{
		"namespace":              {namespace, `{` + cluster + `}`, ""},
		"namespace dotted":       {namespace, `{"metadata":{"name":"a.b"}}`, "metadata.name"},
		"namespace finalizer":    {namespace, `{` + cluster + `,"spec":{"finalizers":["kubernetes","x"]}}`, "spec.finalizers[1]"},
		"configmap":              {configMap, `{` + meta + `,"data":{"a":"b"}}`, ""},
		"configmap key":          {configMap, `{` + meta + `,"data":{"a b":"c"}}`, "data[a b]"},
		"configmap both":         {configMap, `{` + meta + `,"data":{"a":"b"},"binaryData":{"a":""}}`, "data[a]"},
		"secret":                 {secret, `{` + meta + `}`, ""},
		"secret tls":             {secret, `{` + meta + `,"type":"kubernetes.io/tls"}`, "data[tls.crt],data[tls.key]"},
		"secret token":           {secret, `{` + meta + `,"type":"kubernetes.io/service-account-token"}`, "metadata.annotations[kubernetes.io/service-account.name]"},
		"secret docker":          {secret, `{` + meta + `,"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":"e30="}}`, ""},
		"secret docker bad":      {secret, `{` + meta + `,"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":"eA=="}}`, "data[.dockerconfigjson]"},
		"secret login":           {secret, `{` + meta + `,"type":"kubernetes.io/basic-auth"}`, "data[password],data[username]"},
		"account":                {account, `{"metadata":{"name":"A_","namespace":"ns"}}`, "metadata.name"},
		"node":                   {node, `{` + cluster + `,"spec":{"podCIDRs":["10.0.0.0/8"],"taints":[{"key":"a","effect":"NoSchedule"}]}}`, ""},
		"node taints":            {node, `{` + cluster + `,"spec":{"taints":[{"key":"a","effect":"X"},{"key":"b","effect":"NoSchedule"},{"key":"b","effect":"NoSchedule"}]}}`, "spec.taints[0].effect,spec.taints[2]"},
		"event":                  {event, `{` + meta + `,"involvedObject":{"namespace":"ns"}}`, ""},
		"event elsewhere":        {event, `{` + meta + `,"involvedObject":{"namespace":"other"}}`, "involvedObject.namespace"},
		"event of a node":        {event, `{"metadata":{"name":"n","namespace":"default"},"involvedObject":{}}`, ""},
		"lease":                  {lease, `{` + meta + `,"spec":{"leaseDurationSeconds":0,"leaseTransitions":-1}}`, "spec.leaseDurationSeconds,spec.leaseTransitions"},
		"deployment":             {deployment, `{` + meta + `,"spec":{` + template + `}}`, ""},
		"deployment labels":      {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"labels":{"a":"b"}`, `"labels":{}`, 1) + `}}`, "spec.template.metadata.labels"},
		"deployment strategy":    {deployment, `{` + meta + `,"spec":{"strategy":{"type":"Recreate","rollingUpdate":{}},` + template + `}}`, "spec.strategy.rollingUpdate"},
		"deployment standstill":  {deployment, `{` + meta + `,"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":0}},` + template + `}}`, "spec.strategy.rollingUpdate.maxUnavailable"},
		"deployment unselecting": {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"selector":{"matchLabels":{"a":"b"}},`, "", 1) + `}}`, "spec.selector"},
		"deployment padded":      {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"image":"i"`, `"image":" i"`, 1) + `}}`, ""},
		"replicaset never":       {replicaSet, `{` + meta + `,"spec":{` + strings.Replace(template, `"containers"`, `"restartPolicy":"Never","containers"`, 1) + `}}`, "spec.template.spec.restartPolicy"},
		"priority":               {priority, `{` + cluster + `,"value":1000000001}`, "value"},
		"priority system":        {priority, `{"metadata":{"name":"system-x"},"value":1}`, "metadata.name"},
		"priority known":         {priority, `{"metadata":{"name":"system-node-critical"},"value":2000001000}`, ""},
		"class":                  {class, `{` + cluster + `,"handler":"A"}`, "handler"},
		"budget":                 {budget, `{` + meta + `,"spec":{"minAvailable":1,"maxUnavailable":"200%"}}`, "spec,spec.maxUnavailable"},
		"quota":                  {quota, `{` + meta + `,"spec":{"hard":{"pods":"1","limits.cpu":"2","requests.storage":"1Gi","count/jobs.batch":"3"}}}`, ""},
		"quota bad":              {quota, `{` + meta + `,"spec":{"hard":{"gpu":"1","pods":"1500m"},"scopes":["X"]}}`, "spec.hard[gpu],spec.hard[pods],spec.scopes"},
		"limits":                 {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","min":{"cpu":"2"},"max":{"cpu":"1"}}]}}`, "spec.limits[0].min[cpu]"},
		"limits pod":             {limits, `{` + meta + `,"spec":{"limits":[{"type":"Pod","default":{"cpu":"2"}}]}}`, "spec.limits[0].default"},
		"role":                   {role, `{"metadata":{"name":"a:B","namespace":"ns"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}`, ""},
		"role bad":               {role, `{` + meta + `,"rules":[{"nonResourceURLs":["/x"]}]}`, "rules[0].nonResourceURLs,rules[0].verbs"},
		"cluster role":           {clusterRole, `{` + cluster + `,"aggregationRule":{},"rules":[{"verbs":["get"],"nonResourceURLs":["/x"]}]}`, "aggregationRule.clusterRoleSelectors"},
		"binding":                {binding, `{` + meta + `,"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"}]}`, ""},
		"binding bad":            {binding, `{` + meta + `,"roleRef":{"kind":"X"},"subjects":[{"kind":"Y","name":"u"}]}`, "roleRef.kind,roleRef.name,subjects[0].kind"},
	} {
		t.Run(name, func(t *testing.T) {
			got := []string{}
			for _, e := range c.check(t, c.body) {
				got = append(got, e.Field)
			}
			if joined := strings.Join(unique(got), ","); joined != c.want {
				t.Errorf("refused %q, want %q", joined, c.want)
			}
		})
	}
}

// TestKindUpdates covers what may not change once it is stored.
func TestKindUpdates(t *testing.T) {
	secret := &corev1.Secret{Type: "a", Immutable: new(true)}
	configMap := &corev1.ConfigMap{Immutable: new(true), Data: map[string]string{"a": "b"}}
	namespace := &corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}
	binding := &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "a"}}
	for name, c := range map[string]struct {
		errs field.ErrorList
		want string
	}{
		"secret":    {validation.SecretUpdate(&corev1.Secret{Type: "b", Data: map[string][]byte{"x": nil}, Immutable: new(true)}, secret), "data,type"},
		"configmap": {validation.ConfigMapUpdate(&corev1.ConfigMap{}, configMap), "data,immutable"},
		"namespace": {validation.NamespaceStatusUpdate(namespace, namespace), "status.Phase"},
		"binding":   {validation.RoleBindingUpdate(&rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "b"}}, binding), "roleRef"},
		"class":     {validation.RuntimeClassUpdate(&nodev1.RuntimeClass{Handler: "a"}, &nodev1.RuntimeClass{Handler: "b"}), "handler"},
		"priority":  {validation.PriorityClassUpdate(&schedulingv1.PriorityClass{Value: 1}, &schedulingv1.PriorityClass{Value: 2}), "value"},
	} {
		t.Run(name, func(t *testing.T) {
			got := []string{}
			for _, e := range c.errs {
				if !strings.HasPrefix(e.Field, "metadata") && e.Field != "roleRef.apiGroup" {
					got = append(got, e.Field)
				}
			}
			if joined := strings.Join(unique(got), ","); joined != c.want {
				t.Errorf("refused %q, want %q", joined, c.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	p := pod(t, `{"nodeSelector":{"beta.kubernetes.io/os":"linux"},"imagePullSecrets":[{}],"volumes":[{"name":"v","gitRepo":{"repository":"r"}}],"containers":[{"name":"app","image":"i","env":[{"name":"A"},{"name":"A"}],"resources":{"requests":{"memory":"100m"}}}]}`)
	p.Name = "a.b"
	got := strings.Join(validation.PodWarnings(p), "\n")
	for _, want := range []string{
		"metadata.name: this is used in the Pod's hostname", `spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`,
		`spec.imagePullSecrets[0].name: invalid empty name ""`, "spec.volumes[0].gitRepo: deprecated in v1.11",
		`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`,
		`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
}
