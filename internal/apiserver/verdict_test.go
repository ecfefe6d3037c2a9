package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// step is a request and what must come back: a code, and words that the answer or its warnings have.
type step struct {
	verb, path, body string
	code             int
	words            string
}

// TestVerdictsOfKinds walks through requests about every kind but Pods that no recorded case has, in order, on one
// server. Bodies are YAML; a path that begins with a letter is of core in the namespace default.
func TestVerdictsOfKinds(t *testing.T) {
	i := start(t)
	set := clientset(t, i.Admin())
	makeDefaultAccount(t, set, "default")
	client := httpClient(t, i.Admin())
	for name, steps := range map[string][]step{
		"topology": {
			{"POST", "/api/v1/nodes", "metadata: {name: zoned, labels: {topology.kubernetes.io/zone: z, topology.kubernetes.io/region: r, other: x}}", 201, ""},
			{"GET", "/api/v1/nodes", "", 200, "zoned"}, // now the cache knows it, too
			{"POST", "pods", "metadata: {name: bound}\nspec: {schedulerName: nobody, containers: [{name: c, image: i}]}", 201, ""},
			{"POST", "pods/bound/binding", "metadata: {name: bound}\ntarget: {kind: Node}", 422, "target.name"},
			{"POST", "pods/bound/binding", "metadata: {name: bound}\ntarget: {kind: Node, name: zoned}", 201, ""},
			{"GET", "pods/bound", "", 200, `"labels":{"topology.kubernetes.io/region":"r","topology.kubernetes.io/zone":"z"}`},
			{"POST", "pods", "metadata: {name: made, labels: {a: b, topology.kubernetes.io/zone: mine}}\nspec: {nodeName: zoned, containers: [{name: c, image: i}]}", 201, `"labels":{"a":"b","topology.kubernetes.io/region":"r","topology.kubernetes.io/zone":"z"}`},
			{"POST", "pods", "metadata: {name: nowhere}\nspec: {nodeName: absent, containers: [{name: c, image: i}]}", 201, ""},
		},
		"eviction": {
			{"POST", "pods", "metadata: {name: evicted}\nspec: {schedulerName: nobody, containers: [{name: c, image: i}]}", 201, ""},
			{"POST", "pods/evicted/eviction?dryRun=All", "apiVersion: policy/v1beta1\nkind: Eviction\nmetadata: {name: evicted}", 201, ""},
			{"POST", "pods/evicted/eviction", "apiVersion: policy/v1beta1\nkind: Eviction\nmetadata: {name: evicted}\ndeleteOptions: {dryRun: [All]}", 201, ""},
			{"POST", "pods/evicted/eviction", "apiVersion: policy/v1beta1\nkind: Eviction\nmetadata: {name: other}", 400, "name in URL does not match name in Eviction object"},
			{"POST", "pods/evicted/eviction", "apiVersion: apps/v1\nkind: Eviction\nmetadata: {name: evicted}", 400, ""},
			{"POST", "pods/evicted/eviction", "apiVersion: policy/v1beta1\nkind: Eviction\nmetadata: {name: evicted}", 201, ""},
			{"GET", "pods/evicted", "", 404, ""},
		},
		"default priority": {
			{"POST", "/apis/scheduling.k8s.io/v1/priorityclasses", "metadata: {name: first}\nvalue: 1\nglobalDefault: true", 201, `"generation":1`},
			{"POST", "/apis/scheduling.k8s.io/v1/priorityclasses", "metadata: {name: second}\nvalue: 2\nglobalDefault: true", 403, "PriorityClass first is already marked as default. Only one default can exist"},
			{"PUT", "/apis/scheduling.k8s.io/v1/priorityclasses/first", "metadata: {name: first}\nvalue: 1\nglobalDefault: true\ndescription: d", 200, ""},
			{"PUT", "/apis/scheduling.k8s.io/v1/priorityclasses/first", "metadata: {name: first}\nvalue: 2", 422, "may not be changed in an update"},
			{"DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/first", "", 200, ""},
		},
		"limit range": {
			{"POST", "limitranges", "spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Gi}}]}", 201, `"name":"`},
			{"PUT", "limitranges/put", "metadata: {name: put}\nspec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Gi}}]}", 201, ""},
		},
		"update without a version": {
			{"PUT", "configmaps/absent", "metadata: {name: absent}", 404, ""},
			{"POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", "metadata: {name: b}\nspec: {minAvailable: 1}", 201, ""},
			{"PUT", "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b", "metadata: {name: b}\nspec: {minAvailable: 2}", 422, "must be specified for an update"},
			{"POST", "/apis/node.k8s.io/v1/runtimeclasses", "metadata: {name: c}\nhandler: h", 201, ""},
			{"PUT", "/apis/node.k8s.io/v1/runtimeclasses/c", "metadata: {name: c}\nhandler: h", 422, "must be specified for an update"},
			{"PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", "metadata: {name: l}", 201, ""},
			{"PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", "metadata: {name: l}", 422, "must be specified for an update"},
			{"POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "metadata: {name: w}", 201, `"generation":1`},
			{"PUT", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/w", "metadata: {name: w}", 422, "must be specified for an update"},
			{"POST", "configmaps", "metadata: {name: loose}", 201, ""},
			{"PUT", "configmaps/loose", "metadata: {name: loose}\ndata: {a: b}", 200, ""},
		},
		"workload": {
			{"POST", "/apis/apps/v1/namespaces/default/deployments", deploymentOf("d.1", "image: i"), 201, "this is used in Pod names and hostnames"},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1", "metadata: {annotations: {a: b}}", 200, `"generation":2`},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1", "metadata: {labels: {a: b}}", 200, `"generation":2`},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1/status", "metadata: {labels: {c: d}, annotations: {c: d}}\nstatus: {replicas: 1}", 200, `"annotations":{"a":"b","c":"d"}`},
			{"GET", "/apis/apps/v1/namespaces/default/deployments/d.1", "", 200, `"labels":{"a":"b"}`},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1/status?fieldManager=status", "metadata: {labels: {e: f}}\nspec: {replicas: 3}\nstatus: {replicas: 2}", 200, `"fieldsV1":{"f:status":{"f:replicas":{}}},"subresource":"status"`},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1/status", "status: {readyReplicas: 3}", 422, "status.readyReplicas"},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1", "spec: {template: {spec: {terminationGracePeriodSeconds: -1}}}", 200, "spec.template.spec.terminationGracePeriodSeconds: must be >= 0"},
			{"PATCH", "/apis/apps/v1/namespaces/default/deployments/d.1", "spec: {selector: {matchLabels: {x: y}}}", 422, "spec.selector"},
			{"POST", "/apis/apps/v1/namespaces/default/replicasets", strings.Replace(deploymentOf("r", "image: i, env: [{name: A, value: '1'}, {name: A, value: '2'}]"), "Deployment", "ReplicaSet", 1), 201, "spec.template.spec.containers[0].env[1]: hides previous definition"},
		},
		"node": {
			{"POST", "/api/v1/nodes", "metadata: {name: node}\nspec: {externalID: e, configSource: {}}\nstatus: {capacity: {cpu: '2'}}", 201, "spec.externalID: this field is deprecated"},
			{"PATCH", "/api/v1/nodes/node", "spec: {podPreemptionPolicy: {disableResizePreemption: [a]}}", 200, `"spec":{"externalID":"e"}`},
			{"GET", "/api/v1/nodes/node", "", 200, `"allocatable":{"cpu":"2"}`},
			{"PATCH", "/api/v1/nodes/node", "spec: {externalID: f}", 422, "spec.externalID"},
			{"PATCH", "/api/v1/nodes/node", "spec: {podCIDRs: [10.0.0.0/8, 11.0.0.0/8]}", 422, "spec.podCIDRs"},
			{"PATCH", "/api/v1/nodes/node/status", "status: {addresses: [{type: Hostname, address: a}, {type: Hostname, address: a}]}", 422, "status.addresses[1]"},
		},
		"event": {
			{"POST", "events", "metadata: {name: e}\neventTime: '2026-01-01T00:00:00.000000Z'\ninvolvedObject: {namespace: default}", 422, "reportingComponent"},
			{"POST", "/apis/events.k8s.io/v1/namespaces/default/events", "metadata: {name: e}\neventTime: '2026-01-01T00:00:00.000000Z'\nregarding: {namespace: default}", 422, "reportingController"},
			{"POST", "events", "metadata: {name: e}\ninvolvedObject: {namespace: default}\nmessage: m", 201, ""},
			{"PATCH", "events/e", "message: other", 200, ""},
			{"PATCH", "/apis/events.k8s.io/v1/namespaces/default/events/e", "note: o", 422, "message"},
		},
		"secret": {
			{"POST", "secrets", "metadata: {name: s}\nimmutable: true\nstringData: {a: b}", 201, `"data":{"a":"Yg=="}`},
			{"PATCH", "secrets/s", "data: {a: Yw==}", 422, "field is immutable when `immutable` is set"},
			{"PATCH", "secrets/s", "type: other", 422, "type"},
			{"PATCH", "secrets/s", "metadata: {labels: {a: b}}", 200, ""},
			{"POST", "serviceaccounts", "metadata: {name: a}\nsecrets: [{name: s, namespace: elsewhere}]", 201, `"secrets":[{"name":"s"}]`},
			{"PATCH", "serviceaccounts/a", "secrets: [{name: t, kind: Secret}]", 200, `{"name":"t"}`},
			{"POST", "serviceaccounts/a/token", "metadata: {name: b}", 422, "must match the service account name if specified"},
			{"POST", "serviceaccounts/a/token", "metadata: {uid: odd}", 409, "does not match the UID of the service account"},
			{"POST", "serviceaccounts/a/token", "spec: {expirationSeconds: 1}", 422, "may not specify a duration less than 10 minutes"},
			{"POST", "serviceaccounts/a/token", "spec: {boundObjectRef: {kind: ConfigMap, apiVersion: v1, name: c}}", 400, "cannot bind token to object of type /v1, Kind=ConfigMap"},
		},
		"reviews": {
			{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "spec: {}", 422, "at least one of user or group must be specified"},
			{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "metadata: {name: named}\nspec: {user: u, resourceAttributes: {verb: get}}", 422, "must be empty"},
			{"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "spec: {resourceAttributes: {}, nonResourceAttributes: {}}", 422, "cannot be specified in combination with resourceAttributes"},
			{"POST", "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews", "spec: {user: u, resourceAttributes: {namespace: other}}", 422, "must match metadata.namespace"},
			{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "spec: {user: u, resourceAttributes: {verb: list, resource: pods, fieldSelector: {}}}", 422, "requirements or rawSelector is required"},
			{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "spec: {user: u, groups: ['system:masters'], resourceAttributes: {verb: list, resource: pods, labelSelector: {rawSelector: a=b}}}", 201, `"allowed":true`},
			{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", "spec: {}", 400, "token is required"},
		},
		"selectors": {
			{"GET", "/api/v1/nodes?fieldSelector=metadata.namespace%3Dx", "", 400, "field label not supported: metadata.namespace"},
			{"GET", "/api/v1/nodes?fieldSelector=spec.unschedulable%3Dfalse", "", 200, ""},
			{"GET", "/api/v1/namespaces?fieldSelector=status.phase%3DActive", "", 200, `"name":"default"`},
			{"GET", "/api/v1/namespaces?fieldSelector=metadata.namespace%3Dx", "", 400, "field label not supported"},
			{"GET", "configmaps?fieldSelector=data%3Dx", "", 400, `"data" is not a known field selector: only "metadata.name", "metadata.namespace"`},
			{"GET", "secrets?fieldSelector=type%21%3DOpaque", "", 200, `"items":[]`},
			{"GET", "pods?fieldSelector=spec.host%3Dabsent,spec.hostNetwork%3Dfalse,status.podIPs%3D1.2.3.4", "", 200, `"items":[]`},
			{"GET", "events?fieldSelector=involvedObject.kind%3DPod,source%3Dx,reportingComponent%3Dy,type%3DNormal", "", 200, `"items":[]`},
			{"GET", "events?fieldSelector=regarding.kind%3DPod", "", 400, "field label not supported: regarding.kind"},
			{"GET", "/apis/events.k8s.io/v1/events?fieldSelector=regarding.kind%3DPod,reportingController%3Dy", "", 200, `"items":[]`},
			{"GET", "/apis/events.k8s.io/v1/events?fieldSelector=involvedObject.kind%3DPod", "", 400, "field label not supported: involvedObject.kind"},
			{"GET", "/apis/apps/v1/replicasets?fieldSelector=status.replicas%3D7", "", 400, `"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"`},
			{"GET", "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dx", "", 200, `"items":[]`},
			{"GET", "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=metadata.namespace%3Dx", "", 400, "field label not supported"},
			{"GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles?fieldSelector=metadata.namespace%3Dx", "", 200, `"items":[]`},
			{"DELETE", "configmaps?fieldSelector=data%3Dx", "", 400, "is not a known field selector"},
		},
		"policy expressions": {
			{"POST", policiesPath, vapOf("matchConditions: [{name: a, expression: 'variables.v'}], variables: [{name: v, expression: 'true'}], validations: [{expression: 'variables.v'}]"), 422, "spec.matchConditions[0].expression"},
			{"POST", policiesPath, vapOf("variables: [{name: '9', expression: 'true'}], validations: [{expression: 'true'}]"), 422, "a valid CEL identifier"},
			{"POST", policiesPath, vapOf("validations: [{expression: ' '}, {expression: '1'}, {expression: 'true', messageExpression: 'authorizer.path(\"/\").check(\"get\").reason()'}]"), 422, "spec.validations[0].expression: Required value"},
			{"POST", policiesPath, vapOf("validations: [{expression: 'params.x'}]"), 422, "spec.validations[0].expression"},
			{"POST", policiesPath, vapOf("variables: [{name: v, expression: 'true'}], validations: [{expression: 'variables.v'}], auditAnnotations: [{key: k, valueExpression: '\"a\"'}]"), 201, ""},
			{"PATCH", policiesPath + "/p/status", "status: {conditions: [{type: a}]}", 422, "status.conditions[0].status"},
			{"PATCH", policiesPath + "/p/status", "metadata: {labels: {a: b}, finalizers: [example.com/f]}\nstatus: {observedGeneration: 1}", 200, `"name":"p","uid"`},
			{"GET", policiesPath + "/p", "", 200, `"status":{"observedGeneration":1}`},
			{"POST", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies", "metadata: {name: p}\nspec: {matchConstraints: " + never + ", mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[]'}}]}", 422, "spec.reinvocationPolicy: Required value"},
			{"DELETE", policiesPath + "/p", "", 200, ""},
			{"GET", policiesPath + "/p", "", 404, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range steps {
				if diff := s.send(t, client, i.URL); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

const policiesPath = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

func vapOf(spec string) string {
	return "metadata: {name: p}\nspec: {matchConstraints: " + never + ", " + spec + "}"
}

func deploymentOf(name, container string) string {
	return fmt.Sprintf("kind: Deployment\nmetadata: {name: %s}\nspec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, %s}]}}}", name, container)
}

func (s step) send(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	path, ctype := s.path, yamlType
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/namespaces/default/" + path
	}
	body := s.body
	if s.verb == http.MethodPatch {
		raw, err := yaml.YAMLToJSON([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		ctype, body = mergePatch, string(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), s.verb, url+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", jsonType)
	if body != "" {
		r.Header.Set("Content-Type", ctype)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		compact.Write(raw)
	}
	said := compact.String() + strings.Join(resp.Header.Values("Warning"), "\n")
	if resp.StatusCode != s.code || !strings.Contains(said, s.words) && !strings.Contains(said, strings.ReplaceAll(s.words, `"`, `\"`)) {
		return fmt.Sprintf("%s %s %s: %d and not %d, or no %q in %.600s", s.verb, s.path, s.body, resp.StatusCode, s.code, s.words, said)
	}
	return ""
}
