package validation_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
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
	newEvent := creating(nil, validation.NewEventCreate)
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
	const timed = `"eventTime":"2026-01-01T00:00:00.000000Z","involvedObject":{"namespace":"ns"},"action":"a","reason":"r","reportingComponent":"example.com/c","reportingInstance":"i"`
	const template = `"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	for name, c := range map[string]struct {
		check      func(*testing.T, string) field.ErrorList
		body, want string
	}{
		"namespace":              {namespace, `{` + cluster + `}`, ""},
		"namespace dotted":       {namespace, `{"metadata":{"name":"a.b"}}`, "metadata.name"},
		"namespace finalizer":    {namespace, `{` + cluster + `,"spec":{"finalizers":["kubernetes","x"]}}`, "spec.finalizers"},
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
		"node taints":            {node, `{` + cluster + `,"spec":{"taints":[{"key":"a","effect":"X"},{"key":"b","effect":"NoSchedule"},{"key":"b","effect":"NoSchedule"}]}}`, "metadata.taints[0].effect,metadata.taints[2]"},
		"node capacity":          {node, `{` + cluster + `,"status":{"capacity":{"cpu":"-1"}}}`, "status.allocatable.cpu,status.capacity.cpu"},
		"node address twice":     {node, `{` + cluster + `,"spec":{"podCIDRs":["10.0.0.0/8","10.0.0.0/8"]}}`, "spec.podCIDRs"},
		"node annotations":       {node, `{"metadata":{"name":"n","annotations":{"scheduler.alpha.kubernetes.io/taints":"[{\"key\":\"a\",\"effect\":\"X\"}]","scheduler.alpha.kubernetes.io/preferAvoidPods":"{\"preferAvoidPods\":[{}]}"}}}`, "metadata.annotations.scheduler.alpha.kubernetes.io/preferAvoidPods[0].PodSignature,metadata.annotations.scheduler.alpha.kubernetes.io/taints[0].effect"},
		"metadata finalizer":     {configMap, `{"metadata":{"name":"n","namespace":"ns","finalizers":["orphan","example.com/x","odd"]}}`, "metadata.finalizers[2]"},
		"loose finalizer":        {lease, `{"metadata":{"name":"n","namespace":"ns","finalizers":["odd"]}}`, ""},
		"event":                  {event, `{` + meta + `,"involvedObject":{"namespace":"ns"}}`, ""},
		"event elsewhere":        {event, `{` + meta + `,"involvedObject":{"namespace":"other"}}`, "involvedObject.namespace"},
		"event of a node":        {event, `{"metadata":{"name":"n","namespace":"default"},"involvedObject":{}}`, ""},
		"lease":                  {lease, `{` + meta + `,"spec":{"leaseDurationSeconds":0,"leaseTransitions":-1}}`, "spec.leaseDurationSeconds,spec.leaseTransitions"},
		"deployment":             {deployment, `{` + meta + `,"spec":{` + template + `}}`, ""},
		"deployment labels":      {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"labels":{"a":"b"}`, `"labels":{}`, 1) + `}}`, "spec.template.metadata.labels"},
		"deployment strategy":    {deployment, `{` + meta + `,"spec":{"strategy":{"type":"Recreate","rollingUpdate":{}},` + template + `}}`, "spec.strategy.rollingUpdate"},
		"deployment standstill":  {deployment, `{` + meta + `,"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":0}},` + template + `}}`, "spec.strategy.rollingUpdate.maxUnavailable"},
		"deployment unselecting": {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"selector":{"matchLabels":{"a":"b"}},`, "", 1) + `}}`, "spec.selector,spec.template.metadata.labels"},
		"deployment padded":      {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"image":"i"`, `"image":" i"`, 1) + `}}`, ""},
		"template labels":        {deployment, `{` + meta + `,"spec":{` + strings.Replace(template, `"labels":{"a":"b"}`, `"labels":{"a":"b","-":"x"},"annotations":{"-":"x"}`, 1) + `}}`, "spec.template.annotations,spec.template.labels"},
		"template seccomp":       {deployment, `{` + meta + `,"spec":{` + strings.Replace(strings.Replace(template, `"labels":{"a":"b"}},`, `"labels":{"a":"b"},"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"unconfined"}},`, 1), `"containers"`, `"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}},"containers"`, 1) + `}}`, "spec.template.spec.securityContext.seccompProfile.type"},
		"replicaset never":       {replicaSet, `{` + meta + `,"spec":{` + strings.Replace(template, `"containers"`, `"restartPolicy":"Never","containers"`, 1) + `}}`, "spec.template.spec.restartPolicy"},
		"priority":               {priority, `{` + cluster + `,"value":1000000001}`, "value"},
		"priority system":        {priority, `{"metadata":{"name":"system-x"},"value":1}`, "metadata.name"},
		"priority known":         {priority, `{"metadata":{"name":"system-node-critical"},"value":2000001000}`, ""},
		"class":                  {class, `{` + cluster + `,"handler":"A"}`, "handler"},
		"class tolerations":      {class, `{` + cluster + `,"handler":"a","scheduling":{"tolerations":[{"key":"k","operator":"Exists"},{"key":"k","operator":"Exists","tolerationSeconds":1,"effect":"NoExecute"},{"key":"k","operator":"Exists"}]}}`, "scheduling.tolerations[2]"},
		"budget name":            {budget, `{"metadata":{"name":"A_","namespace":"ns"},"spec":{"minAvailable":1,"selector":{}}}`, ""},
		"limits negative":        {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","max":{"cpu":"-1"}}]}}`, ""},
		"limits of claims":       {limits, `{` + meta + `,"spec":{"limits":[{"type":"PersistentVolumeClaim","max":{"pods":"1"}}]}}`, "spec.limits[0].limits"},
		"budget":                 {budget, `{` + meta + `,"spec":{"minAvailable":1,"maxUnavailable":"200%"}}`, "spec,spec.maxUnavailable"},
		"quota":                  {quota, `{` + meta + `,"spec":{"hard":{"pods":"1","limits.cpu":"2","requests.storage":"1Gi","count/jobs.batch":"3"}}}`, ""},
		"quota bad":              {quota, `{` + meta + `,"spec":{"hard":{"gpu":"1","pods":"1500m"},"scopes":["X"]}}`, "spec.hard[gpu],spec.hard[pods],spec.scopes"},
		"limits":                 {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","min":{"cpu":"2"},"max":{"cpu":"1"}}]}}`, "spec.limits[0].defaultRequest[cpu],spec.limits[0].default[cpu],spec.limits[0].min[cpu]"},
		"event timed":            {event, `{` + meta + `,"eventTime":"2026-01-01T00:00:00.000000Z","involvedObject":{"namespace":"ns"}}`, "action,reason,reportingComponent,reportingInstance"},
		"node families":          {node, `{` + cluster + `,"spec":{"podCIDRs":["10.0.0.0/8","11.0.0.0/8"]}}`, "spec.podCIDRs"},
		"new event":              {newEvent, `{` + meta + `,` + timed + `,"type":"Normal","series":{"count":2,"lastObservedTime":"2026-01-01T00:00:00.000000Z"}}`, ""},
		"new event old fields":   {newEvent, `{` + meta + `,"involvedObject":{"namespace":"ns"},"count":1,"source":{"host":"h"},"firstTimestamp":"2026-01-01T00:00:00Z","series":{"count":1}}`, "count,eventTime,firstTimestamp,series.count,series.lastObservedTime,source,type"},
		"quota scopes":           {quota, `{` + meta + `,"spec":{"hard":{"pods":"1"},"scopes":["BestEffort","NotBestEffort"]}}`, "spec.scopes"},
		"quota scope of pods":    {quota, `{` + meta + `,"spec":{"hard":{"configmaps":"1"},"scopes":["Terminating"]}}`, "spec.scopes"},
		"quota selector":         {quota, `{` + meta + `,"spec":{"hard":{"pods":"1"},"scopeSelector":{"matchExpressions":[{"scopeName":"Terminating","operator":"In","values":["x"]}]}}}`, "spec.scopeSelector.matchExpressions.operator"},
		"quota selector class":   {quota, `{` + meta + `,"spec":{"hard":{"cpu":"1"},"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["x"]}]}}}`, ""},
		"limits type":            {limits, `{` + meta + `,"spec":{"limits":[{"type":"Odd"},{"type":"example.com/odd"}]}}`, "spec.limits[0].type"},
		"limits name":            {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","max":{"pods":"1"}},{"type":"PersistentVolumeClaim","max":{"storage":"1"},"min":{"odd":"1"}}]}}`, "spec.limits[0].defaultRequest[pods],spec.limits[0].default[pods],spec.limits[0].max[pods],spec.limits[1].min[odd]"},
		"limits default":         {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","min":{"cpu":"2"},"default":{"cpu":"1"},"defaultRequest":{"cpu":"1"}}]}}`, "spec.limits[0].defaultRequest[cpu],spec.limits[0].default[cpu]"},
		"limits ratio":           {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","min":{"memory":"512Mi"},"max":{"memory":"2Gi"},"maxLimitRequestRatio":{"memory":"10"}}]}}`, "spec.limits[0].maxLimitRequestRatio[memory]"},
		"limits huge pages":      {limits, `{` + meta + `,"spec":{"limits":[{"type":"Container","default":{"hugepages-2Mi":"4Mi"},"defaultRequest":{"hugepages-2Mi":"2Mi"}}]}}`, "spec.limits[0].defaultRequest[hugepages-2Mi]"},
		"class overhead":         {class, `{` + cluster + `,"handler":"a","overhead":{"podFixed":{"odd":"1"}}}`, "overhead.limits[odd]"},
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
	signed := func(change func(*certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
		r := &certificatesv1.CertificateSigningRequest{
			Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: "example.com/s", Usages: []certificatesv1.KeyUsage{"client auth", "client auth"}},
			Status: certificatesv1.CertificateSigningRequestStatus{Conditions: []certificatesv1.CertificateSigningRequestCondition{
				{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}, {Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue},
			}},
		}
		change(r)
		return r
	}
	stored := signed(func(*certificatesv1.CertificateSigningRequest) {})
	for name, c := range map[string]struct {
		errs field.ErrorList
		want string
	}{
		"signing as it was":      {validation.SigningRequestUpdate(stored.DeepCopy(), stored), "spec.request"},
		"signing modified":       {validation.SigningRequestStatusUpdate(signed(func(r *certificatesv1.CertificateSigningRequest) { r.Status.Conditions[0].Reason = "r" }), stored), "spec.request,status.conditions"},
		"signing approved again": {validation.SigningRequestApproval(signed(func(r *certificatesv1.CertificateSigningRequest) { r.Status.Conditions[0].Reason = "r" }), stored), "spec.request"},
		"signing unverdict":      {validation.SigningRequestApproval(signed(func(r *certificatesv1.CertificateSigningRequest) { r.Status.Conditions = nil }), stored), "spec.request,status.conditions"},
		"signing certified":      {validation.SigningRequestStatusUpdate(signed(func(r *certificatesv1.CertificateSigningRequest) { r.Status.Certificate = []byte("odd") }), stored), "spec.request,status.certificate"},
		"collisions":             {validation.DeploymentStatusUpdate(&appsv1.Deployment{}, &appsv1.Deployment{Status: appsv1.DeploymentStatus{CollisionCount: new(int32(1))}}), "status.collisionCount"},
		"node network":           {validation.NodeStatusUpdate(&corev1.Node{}, &corev1.Node{Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/8"}, ProviderID: "p"}}), "spec.podCIDRs,spec.providerID"},
		"namespace finalize":     {validation.NamespaceFinalizeUpdate(&corev1.Namespace{Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"orphan", "odd"}}}, &corev1.Namespace{}), "spec.finalizers[1]"},
		"secret":                 {validation.SecretUpdate(&corev1.Secret{Type: "b", Data: map[string][]byte{"x": nil}, Immutable: new(true)}, secret), "data,type"},
		"configmap":              {validation.ConfigMapUpdate(&corev1.ConfigMap{}, configMap), "data,immutable"},
		"namespace":              {validation.NamespaceStatusUpdate(namespace, namespace), "status.Phase"},
		"binding":                {validation.RoleBindingUpdate(&rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "b"}}, binding), "roleRef"},
		"class":                  {validation.RuntimeClassUpdate(&nodev1.RuntimeClass{Handler: "a"}, &nodev1.RuntimeClass{Handler: "b"}), "handler"},
		"priority":               {validation.PriorityClassUpdate(&schedulingv1.PriorityClass{Value: 1}, &schedulingv1.PriorityClass{Value: 2}), "value"},
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

// TestWarnings has the warnings of one oddity each, and none of what is sound.
func TestWarnings(t *testing.T) {
	app := func(rest string) string { return `{"containers":[{"name":"app","image":"i"` + rest + `}]}` }
	with := func(rest string) string { return `{"containers":[{"name":"app","image":"i"}],` + rest + `}` }
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"sound":         {app(`,"ports":[{"containerPort":80},{"containerPort":81,"hostPort":1,"hostIP":"1.1.1.1"}],"env":[{"name":"A","value":"1"},{"name":"A","value":"$(A)2"}]`), nil},
		"node selector": {with(`"nodeSelector":{"beta.kubernetes.io/os":"linux"}`), []string{`spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`}},
		"node affinity": {with(`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"beta.kubernetes.io/arch","operator":"Exists"}]}]}}}`),
			[]string{`spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use "kubernetes.io/arch" instead`}},
		"pod affinity": {with(`"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"a"}]},"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"topologyKey":"a"}}]}}`),
			[]string{
				"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
				"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
			}},
		"spread": {with(`"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"failure-domain.beta.kubernetes.io/zone","whenUnsatisfiable":"DoNotSchedule"}]`),
			[]string{
				`spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
				"spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
			}},
		"secrets": {with(`"imagePullSecrets":[{},{"name":"a"},{"name":"a"}]`),
			[]string{`spec.imagePullSecrets[0].name: invalid empty name ""`, `spec.imagePullSecrets[2].name: duplicate name "a"`}},
		"aliases":    {with(`"hostAliases":[{"ip":"1.1.1.1"},{"ip":"1.1.1.1"}]`), []string{`spec.hostAliases[1].ip: duplicate ip "1.1.1.1"`}},
		"old volume": {with(`"volumes":[{"name":"v","gitRepo":{"repository":"r"}}]`), []string{"spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"}},
		"hidden":     {app(`,"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]`), []string{`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`}},
		"fraction":   {app(`,"resources":{"requests":{"memory":"100m"}}`), []string{`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`}},
		"equal ports": {app(`,"ports":[{"containerPort":80},{"containerPort":80,"name":"b"}]`),
			[]string{"spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"}},
		"overlapping ports": {app(`,"ports":[{"containerPort":80},{"containerPort":80,"hostPort":1}]`),
			[]string{"spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"}},
		"equal port names": {app(`,"ports":[{"containerPort":80,"name":"a"},{"containerPort":81,"name":"a"}]`),
			[]string{`spec.containers[0].ports[1]: duplicate port name "a" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]`}},
		"grace": {with(`"terminationGracePeriodSeconds":-1`), []string{"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"}},
		"ambiguous ports": {app(`,"ports":[{"containerPort":80,"hostPort":1},{"containerPort":80,"hostPort":1,"hostIP":"1.1.1.1"}]`),
			[]string{"spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"}},
		"host address alone": {app(`,"ports":[{"containerPort":80,"hostIP":"1.1.1.1","protocol":"TCP"}]`),
			[]string{`spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, validation.PodWarnings(pod(t, c.spec))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestWarningsOfMetadata has those of the name and of annotations.
func TestWarningsOfMetadata(t *testing.T) {
	p := pod(t, `{"containers":[{"name":"app","image":"i"}]}`)
	p.Name = "a.b"
	p.Annotations = map[string]string{
		"scheduler.alpha.kubernetes.io/critical-pod":            "",
		"container.seccomp.security.alpha.kubernetes.io/app":    "unconfined",
		"container.apparmor.security.beta.kubernetes.io/app":    "runtime/default",
		"container.apparmor.security.beta.kubernetes.io/absent": "runtime/default",
	}
	got := strings.Join(append(validation.PodWarnings(p), validation.AppArmorWarnings(p)...), "\n")
	for _, want := range []string{
		"metadata.name: this is used in the Pod's hostname",
		`metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead`,
		`metadata.annotations[container.seccomp.security.alpha.kubernetes.io/app]: non-functional in v1.27+; use the "seccompProfile" field instead`,
		`metadata.annotations[container.apparmor.security.beta.kubernetes.io/app]: deprecated since v1.30; use the "appArmorProfile" field instead`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 4 {
		t.Errorf("%d warnings:\n%s", n, got)
	}
}

// TestWarningsOfTemplates has those of what makes Pods: they name the template.
func TestWarningsOfTemplates(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: pod(t, `{"containers":[{"name":"app","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}`).Spec}
	template.Annotations = map[string]string{
		"container.apparmor.security.beta.kubernetes.io/app": "unconfined",
		"seccomp.security.alpha.kubernetes.io/pod":           "unconfined",
	}
	want := []string{
		"metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
		`spec.template.metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead`,
		`spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/app]: deprecated since v1.30; use the "appArmorProfile" field instead`,
		`spec.template.spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`,
	}
	if d := cmp.Diff(want, validation.WorkloadWarnings("a.b", template)); d != "" {
		t.Error(d)
	}
}
