package apiserver

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// samples are the least that each stored resource is made of, by group and resource; NAME stands for its name. A
// resource in discovery that is not here fails the walk.
func samples() map[string]string {
	return map[string]string{
		"configmaps": "data: {a: b}", "secrets": "data: {a: Yg==}", "serviceaccounts": "", "namespaces": "", "nodes": "",
		"pods":           "spec: {automountServiceAccountToken: false, containers: [{name: c, image: i}]}",
		"events":         "involvedObject: {namespace: walk, kind: Pod, name: p}\nreason: r\nmessage: m\ntype: Normal",
		"limitranges":    "spec: {limits: [{type: Pod, max: {cpu: '1'}}]}",
		"resourcequotas": "spec: {hard: {configmaps: '1000'}}",

		"apps/deployments":            workload,
		"apps/replicasets":            workload,
		"policy/poddisruptionbudgets": "spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}",

		"scheduling.k8s.io/priorityclasses": "value: 7",
		"node.k8s.io/runtimeclasses":        "handler: h",
		"coordination.k8s.io/leases":        "spec: {holderIdentity: h}",
		"events.k8s.io/events": "regarding: {namespace: walk, kind: Pod, name: p}\nreason: r\nnote: m\ntype: Normal\naction: a\n" +
			"reportingController: example.com/c\nreportingInstance: i\neventTime: '2026-01-01T00:00:00.000000Z'",

		"rbac.authorization.k8s.io/roles":               "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]",
		"rbac.authorization.k8s.io/clusterroles":        "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]",
		"rbac.authorization.k8s.io/rolebindings":        binding,
		"rbac.authorization.k8s.io/clusterrolebindings": binding,

		"admissionregistration.k8s.io/validatingadmissionpolicies":       "spec: {matchConstraints: " + never + ", validations: [{expression: 'true'}]}",
		"admissionregistration.k8s.io/validatingadmissionpolicybindings": "spec: {policyName: none, validationActions: [Deny]}",
		"admissionregistration.k8s.io/mutatingadmissionpolicies": "spec: {matchConstraints: " + never + ", reinvocationPolicy: Never, " +
			"mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{}'}}]}",
		"admissionregistration.k8s.io/mutatingadmissionpolicybindings": "spec: {policyName: none}",
		"admissionregistration.k8s.io/validatingwebhookconfigurations": "webhooks: []",
		"admissionregistration.k8s.io/mutatingwebhookconfigurations":   "webhooks: []",

		"certificates.k8s.io/certificatesigningrequests": "spec: {request: REQUEST, signerName: example.com/s, usages: [client auth]}",
	}
}

const (
	workload = "spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}"
	binding  = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]"
	never    = "{resourceRules: [{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [none]}]}"
)

// walker does to one resource all that can be done to it.
type walker struct {
	*testing.T
	client     *http.Client
	url        string // of the collection
	apiVersion string
	resource   metav1.APIResource
	sample     string
	hasStatus  bool
}

func TestEveryResourceTakesEveryVerb(t *testing.T) {
	i := start(t)
	set := clientset(t, i.Admin())
	all := samples()
	if _, err := set.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "walk"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	makeDefaultAccount(t, set, "walk")
	_, lists, err := set.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	client := httpClient(t, i.Admin())
	request := base64.StdEncoding.EncodeToString(signingRequest(t, "walk", "example.com/s", pkix.Name{CommonName: "walk"}).Spec.Request)
	for _, list := range lists {
		group, _, found := strings.Cut(list.GroupVersion, "/")
		base := i.URL + "/apis/" + list.GroupVersion
		if !found {
			group, base = "", i.URL+"/api/"+list.GroupVersion
		}
		has := map[string]bool{}
		for _, r := range list.APIResources {
			has[r.Name] = true
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || len(r.Verbs) == 1 {
				continue // subresources and reviews
			}
			sample, ok := all[strings.TrimPrefix(group+"/"+r.Name, "/")]
			if !ok {
				t.Errorf("%s of %s: no sample", r.Name, list.GroupVersion)
				continue
			}
			w := walker{client: client, url: base + "/" + r.Name, apiVersion: list.GroupVersion, resource: r, sample: strings.Replace(sample, "REQUEST", request, 1), hasStatus: has[r.Name+"/status"]}
			if r.Namespaced {
				w.url = base + "/namespaces/walk/" + r.Name
			}
			t.Run(strings.TrimPrefix(group+"/"+r.Name, "/"), func(t *testing.T) { w.T = t; w.walk() })
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is a response, decoded.
type answer struct {
	code    int
	warning string
	object  *unstructured.Unstructured
	raw     []byte
}

func (w *walker) send(method, path, ctype, body string, accept ...string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Accept", strings.Join(append(accept, "application/json"), ","))
	if body != "" {
		r.Header.Set("Content-Type", ctype)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, warning: resp.Header.Get("Warning"), object: &unstructured.Unstructured{Object: map[string]any{}}}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		w.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.object.Object) // what is not JSON is looked at raw
	return a
}

// want sends and fails unless the answer has the code.
func (w *walker) want(code int, method, path, ctype, body string, accept ...string) answer {
	w.Helper()
	a := w.send(method, path, ctype, body, accept...)
	if a.code != code {
		w.Errorf("%s %s: %d and not %d: %.300s", method, path, a.code, code, a.raw)
	}
	return a
}

const (
	jsonType      = "application/json"
	yamlType      = "application/yaml"
	jsonPatch     = "application/json-patch+json"
	mergePatch    = "application/merge-patch+json"
	strategic     = "application/strategic-merge-patch+json"
	applyPatch    = "application/apply-patch+yaml"
	protobufType  = "application/vnd.kubernetes.protobuf"
	tableType     = "application/json;as=Table;v=v1;g=meta.k8s.io"
	metadataType  = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	firstName     = "walk-1"
	secondName    = "walk-2"
	walkingFields = "fieldManager=walker"
)

// body is the sample under that name, as YAML.
func (w *walker) body(name, more string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, labels: {walk: %q}}\n%s\n%s", w.apiVersion, w.resource.Kind, name, name, w.sample, more)
}

func (w *walker) walk() {
	if got := strings.Join(w.resource.Verbs, " "); got != "create delete deletecollection get list patch update watch" && w.resource.Name != "namespaces" {
		w.Errorf("verbs: %s", got)
	}
	w.tryOut()
	if w.create(); w.Failed() {
		return
	}
	w.read()
	w.selectSome()
	w.update()
	w.patch()
	w.status()
	w.watch()
	w.remove()
}

// tryOut asks for what must leave no trace.
func (w *walker) tryOut() {
	w.want(http.StatusCreated, http.MethodPost, "?dryRun=All", yamlType, w.body(firstName, ""))
	w.want(http.StatusNotFound, http.MethodGet, "/"+firstName, "", "")
	if a := w.want(http.StatusBadRequest, http.MethodPost, "?fieldValidation=Strict", yamlType, w.body(firstName, "odd: 1")); !strings.Contains(string(a.raw), `unknown field`) {
		w.Errorf("a field that there is not: %s", a.raw)
	}
	if a := w.want(http.StatusCreated, http.MethodPost, "?dryRun=All&fieldValidation=Warn", yamlType, w.body(firstName, "odd: 1")); !strings.Contains(a.warning, "unknown field") {
		w.Errorf("warning of a field that there is not: %q", a.warning)
	}
	w.want(http.StatusCreated, http.MethodPost, "?dryRun=All&fieldValidation=Ignore", yamlType, w.body(firstName, "odd: 1"))
	w.want(http.StatusUnprocessableEntity, http.MethodPost, "", yamlType, w.body("a/b", ""))
	w.want(http.StatusBadRequest, http.MethodPost, "", jsonType, "{")
	w.want(http.StatusUnsupportedMediaType, http.MethodPost, "", "text/plain", "x")
}

func (w *walker) create() {
	a := w.want(http.StatusCreated, http.MethodPost, "?"+walkingFields, yamlType, w.body(firstName, ""))
	o := a.object
	if o.GetUID() == "" || o.GetResourceVersion() == "" || o.GetCreationTimestamp().Time.IsZero() || o.GetKind() != w.resource.Kind || o.GetAPIVersion() != w.apiVersion {
		w.Errorf("created: %s", a.raw)
	}
	if f := o.GetManagedFields(); len(f) != 1 || f[0].Manager != "walker" || f[0].Operation != metav1.ManagedFieldsOperationUpdate {
		w.Errorf("managed fields: %+v", f)
	}
	w.want(http.StatusConflict, http.MethodPost, "", yamlType, w.body(firstName, ""))
	w.want(http.StatusCreated, http.MethodPost, "", yamlType, w.body(secondName, ""))
}

func (w *walker) read() {
	a := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "", yamlType)
	var o map[string]any
	if err := yaml.Unmarshal(a.raw, &o); err != nil || o["kind"] != w.resource.Kind {
		w.Errorf("YAML: %v %.100s", err, a.raw)
	}
	if a := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "", protobufType); !bytes.HasPrefix(a.raw, []byte("k8s\x00")) {
		w.Errorf("protobuf: %.100q", a.raw)
	}
	if a := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "", metadataType); a.object.GetKind() != "PartialObjectMetadata" || a.object.GetName() != firstName {
		w.Errorf("metadata: %s", a.raw)
	}
	var table metav1.Table
	a = w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "", tableType)
	if err := json.Unmarshal(a.raw, &table); err != nil || len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
		w.Errorf("table: %v %s", err, a.raw)
	}
	named := false
	for n, c := range table.ColumnDefinitions {
		named = named || c.Format == "name" && table.Rows[0].Cells[n] == firstName
	}
	if !named || len(table.ColumnDefinitions) < 2 {
		w.Errorf("columns %+v of %s", table.ColumnDefinitions, a.raw)
	}
}

// items are the names in the list that the query gives.
func (w *walker) items(query string) (names []string, next string) {
	w.Helper()
	a := w.want(http.StatusOK, http.MethodGet, "?"+query, "", "")
	list, err := a.object.ToList()
	if err != nil {
		w.Fatalf("list %s: %v", query, err)
	}
	for _, o := range list.Items {
		names = append(names, o.GetName())
	}
	return names, list.GetContinue()
}

func (w *walker) selectSome() {
	for query, want := range map[string]string{
		"labelSelector=walk%3Dwalk-1": "[walk-1]", "labelSelector=walk+in+(walk-1,walk-2)": "[walk-1 walk-2]", "labelSelector=walk%3Dnone": "[]",
		"labelSelector=walk&fieldSelector=metadata.name%3Dwalk-2": "[walk-2]", "labelSelector=walk&fieldSelector=metadata.name%21%3Dwalk-2": "[walk-1]",
	} {
		if names, _ := w.items(query); fmt.Sprint(names) != want {
			w.Errorf("list %s: %s and not %s", query, names, want)
		}
	}
	eventually(w, "a list that may be old has what is new", func() bool {
		names, _ := w.items("labelSelector=walk&resourceVersion=0")
		return fmt.Sprint(names) == "[walk-1 walk-2]"
	})
	w.want(http.StatusBadRequest, http.MethodGet, "?fieldSelector=spec.odd%3Dx", "", "")
	w.want(http.StatusBadRequest, http.MethodGet, "?labelSelector=%3D%3D", "", "")
	w.want(http.StatusBadRequest, http.MethodGet, "?limit=1&continue=odd", "", "")
	w.want(http.StatusBadRequest, http.MethodGet, "?fieldSelector=metadata.name", "", "")
	w.versions()
	first, next := w.items("labelSelector=walk&limit=1")
	if fmt.Sprint(first) != "[walk-1]" || next == "" {
		w.Fatalf("first page %s, next %q", first, next)
	}
	if second, next := w.items("labelSelector=walk&limit=1&continue=" + next); fmt.Sprint(second) != "[walk-2]" || next != "" {
		w.Errorf("second page %s, next %q", second, next)
	}
}

// versions asks for lists of given resourceVersions.
func (w *walker) versions() {
	now := w.want(http.StatusOK, http.MethodGet, "", "", "").object.GetResourceVersion()
	for query, code := range map[string]int{
		"resourceVersion=" + now + "&resourceVersionMatch=Exact":        http.StatusOK,
		"resourceVersion=" + now + "&resourceVersionMatch=NotOlderThan": http.StatusOK,
		"resourceVersion=0&resourceVersionMatch=Exact":                  http.StatusUnprocessableEntity,
		"resourceVersionMatch=Exact":                                    http.StatusUnprocessableEntity,
		"resourceVersion=" + now + "&resourceVersionMatch=Odd":          http.StatusUnprocessableEntity,
		"sendInitialEvents=true":                                        http.StatusUnprocessableEntity,
		"watch=true&sendInitialEvents=true":                             http.StatusUnprocessableEntity,
		"watch=true&resourceVersionMatch=Exact":                         http.StatusUnprocessableEntity,
		"resourceVersion=odd":                                           http.StatusBadRequest,
	} {
		w.want(code, http.MethodGet, "?"+query, "", "")
	}
}

func (w *walker) update() {
	o := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "").object
	stale := o.DeepCopy()
	o.SetAnnotations(map[string]string{"updated": "yes"})
	w.want(http.StatusOK, http.MethodPut, "/"+firstName+"?dryRun=All", jsonType, string(marshal(w.T, o)))
	w.want(http.StatusUnprocessableEntity, http.MethodPut, "/"+firstName+"?dryRun=Odd", jsonType, string(marshal(w.T, o)))
	odd := o.DeepCopy()
	odd.Object["odd"] = true
	w.want(http.StatusBadRequest, http.MethodPut, "/"+firstName+"?fieldValidation=Strict", jsonType, string(marshal(w.T, odd)))
	if a := w.want(http.StatusOK, http.MethodPut, "/"+firstName+"?dryRun=All&fieldValidation=Warn", jsonType, string(marshal(w.T, odd))); !strings.Contains(a.warning, "unknown field") {
		w.Errorf("warning of a field that there is not: %q", a.warning)
	}
	w.want(http.StatusUnprocessableEntity, http.MethodPut, "/"+firstName+"?fieldValidation=Odd", jsonType, string(marshal(w.T, o)))
	updated := w.want(http.StatusOK, http.MethodPut, "/"+firstName, jsonType, string(marshal(w.T, o))).object
	if updated.GetAnnotations()["updated"] != "yes" || updated.GetResourceVersion() == o.GetResourceVersion() || updated.GetGeneration() != o.GetGeneration() {
		w.Errorf("updated: %v", updated)
	}
	stale.SetAnnotations(map[string]string{"stale": "yes"})
	w.want(http.StatusConflict, http.MethodPut, "/"+firstName, jsonType, string(marshal(w.T, stale)))
	w.want(http.StatusBadRequest, http.MethodPut, "/"+secondName, jsonType, string(marshal(w.T, updated)))
	same := w.want(http.StatusOK, http.MethodPut, "/"+firstName, jsonType, string(marshal(w.T, updated))).object
	if same.GetResourceVersion() != updated.GetResourceVersion() {
		w.Error("an update that changes nothing was written")
	}
	updated.SetUID("odd")
	w.want(http.StatusConflict, http.MethodPut, "/"+firstName, jsonType, string(marshal(w.T, updated)))
}

func (w *walker) patch() {
	for name, c := range map[string][2]string{
		"json":      {jsonPatch, `[{"op":"add","path":"/metadata/annotations/json","value":"yes"}]`},
		"merge":     {mergePatch, `{"metadata":{"annotations":{"merge":"yes"}}}`},
		"strategic": {strategic, `{"metadata":{"annotations":{"strategic":"yes"}}}`},
	} {
		w.want(http.StatusOK, http.MethodPatch, "/"+firstName+"?dryRun=All", c[0], c[1])
		if o := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "").object; o.GetAnnotations()[name] != "" {
			w.Errorf("%s: a dry run was written", name)
		}
		if o := w.want(http.StatusOK, http.MethodPatch, "/"+firstName, c[0], c[1]).object; o.GetAnnotations()[name] != "yes" {
			w.Errorf("%s: %v", name, o.GetAnnotations())
		}
	}
	w.want(http.StatusUnprocessableEntity, http.MethodPatch, "/"+firstName+"?fieldValidation=Strict", mergePatch, `{"odd":1}`)
	w.want(http.StatusUnprocessableEntity, http.MethodPatch, "/"+firstName, jsonPatch, `[{"op":"remove","path":"/metadata/annotations/absent"}]`)
	w.want(http.StatusConflict, http.MethodPatch, "/"+firstName, mergePatch, `{"metadata":{"resourceVersion":"1"}}`)
	w.want(http.StatusUnprocessableEntity, http.MethodPatch, "/"+firstName, mergePatch, `{"metadata":{"uid":"odd"}}`)
	apply := func(value string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, annotations: {applied: %s}}", w.apiVersion, w.resource.Kind, firstName, value)
	}
	w.want(http.StatusUnprocessableEntity, http.MethodPatch, "/"+firstName, applyPatch, apply("one"))
	o := w.want(http.StatusOK, http.MethodPatch, "/"+firstName+"?fieldManager=one", applyPatch, apply("one")).object
	if f := o.GetManagedFields(); len(f) == 0 || f[0].Manager != "one" || f[0].Operation != metav1.ManagedFieldsOperationApply {
		w.Errorf("managed fields: %+v", f)
	}
	w.want(http.StatusConflict, http.MethodPatch, "/"+firstName+"?fieldManager=two", applyPatch, apply("two"))
	w.want(http.StatusOK, http.MethodPatch, "/"+firstName+"?fieldManager=two&force=true", applyPatch, apply("two"))
	w.want(http.StatusNotFound, http.MethodPatch, "/none", mergePatch, "{}")
	w.want(http.StatusUnsupportedMediaType, http.MethodPatch, "/"+firstName, jsonType, "{}")
	w.want(http.StatusBadRequest, http.MethodPatch, "/"+firstName, mergePatch, "[")
}

func (w *walker) status() {
	if !w.hasStatus {
		w.want(http.StatusNotFound, http.MethodGet, "/"+firstName+"/status", "", "")
		return
	}
	w.want(http.StatusOK, http.MethodGet, "/"+firstName+"/status", "", "")
	before := w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "").object
	after := w.want(http.StatusOK, http.MethodPatch, "/"+firstName+"/status", mergePatch, `{"metadata":{"generation":77},"status":{}}`).object
	if after.GetGeneration() != before.GetGeneration() {
		w.Errorf("generation %d after a change of the status, %d before", after.GetGeneration(), before.GetGeneration())
	}
}

// watch reads a streaming list up to the bookmark that ends it.
func (w *walker) watch() {
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.url+"?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=walk", nil)
	if err != nil {
		w.Fatal(err)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	events := json.NewDecoder(resp.Body)
	// A bookmark may come at any time; only the one that ends the list has to.
	next := func() (string, *unstructured.Unstructured) {
		for {
			var e struct {
				Type   string
				Object map[string]any
			}
			if err := events.Decode(&e); err != nil {
				w.Fatalf("watch: %v", err)
			}
			o := &unstructured.Unstructured{Object: e.Object}
			if e.Type != "BOOKMARK" || o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
				return e.Type, o
			}
		}
	}
	for _, want := range []string{"ADDED", "ADDED", "BOOKMARK"} {
		kind, o := next()
		if kind != want || o.GetKind() != w.resource.Kind {
			w.Fatalf("%s %v and not %s", kind, o, want)
		}
	}
	w.want(http.StatusOK, http.MethodPatch, "/"+secondName, mergePatch, `{"metadata":{"annotations":{"watched":"yes"}}}`)
	if kind, o := next(); kind != "MODIFIED" || o.GetAnnotations()["watched"] != "yes" {
		w.Errorf("%s %v", kind, o)
	}
	// What no longer matches is gone from this watch.
	w.want(http.StatusOK, http.MethodPatch, "/"+secondName, mergePatch, `{"metadata":{"labels":{"walk":null,"left":"yes"}}}`)
	if kind, o := next(); kind != "DELETED" || o.GetName() != secondName {
		w.Errorf("%s %v", kind, o)
	}
}

func (w *walker) remove() {
	w.want(http.StatusOK, http.MethodDelete, "/"+firstName+"?dryRun=All", "", "")
	for options, code := range map[string]int{
		`"preconditions":{"uid":"odd"}`:                        http.StatusConflict,
		`"preconditions":{"resourceVersion":"1"}`:              http.StatusConflict,
		`"propagationPolicy":"Odd"`:                            http.StatusUnprocessableEntity,
		`"propagationPolicy":"Orphan","orphanDependents":true`: http.StatusUnprocessableEntity,
		`"propagationPolicy":"Background","dryRun":["All"]`:    http.StatusOK,
		`"propagationPolicy":"Foreground","dryRun":["All"]`:    http.StatusOK,
		`"dryRun":["Odd"]`:                                     http.StatusUnprocessableEntity,
	} {
		w.want(code, http.MethodDelete, "/"+firstName, jsonType, `{"kind":"DeleteOptions","apiVersion":"v1",`+options+`}`)
	}
	w.want(http.StatusOK, http.MethodGet, "/"+firstName, "", "")
	w.want(http.StatusOK, http.MethodDelete, "/"+firstName, jsonType, `{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}`)
	if w.resource.Name == "namespaces" {
		return // what a namespace waits for before it is gone is the controller's
	}
	w.want(http.StatusNotFound, http.MethodGet, "/"+firstName, "", "")
	w.want(http.StatusNotFound, http.MethodDelete, "/"+firstName, "", "")
	w.propagate()
	w.want(http.StatusOK, http.MethodDelete, "?labelSelector=none", "", "")
	w.want(http.StatusOK, http.MethodDelete, "?labelSelector=left&dryRun=All", "", "")
	w.want(http.StatusBadRequest, http.MethodDelete, "?fieldSelector=spec.odd%3Dx", "", "")
	w.want(http.StatusOK, http.MethodGet, "/"+secondName, "", "")
	w.want(http.StatusOK, http.MethodDelete, "?labelSelector=left", "", "")
	w.want(http.StatusNotFound, http.MethodGet, "/"+secondName, "", "")
}

// propagate deletes so that the garbage collector has to see to dependents first, whom there is none of here.
func (w *walker) propagate() {
	for policy, finalizer := range map[string]string{"Foreground": metav1.FinalizerDeleteDependents, "Orphan": metav1.FinalizerOrphanDependents} {
		const name = "walk-3"
		w.want(http.StatusCreated, http.MethodPost, "", yamlType, w.body(name, ""))
		w.want(http.StatusOK, http.MethodDelete, "/"+name+"?propagationPolicy="+policy, "", "")
		o := w.want(http.StatusOK, http.MethodGet, "/"+name, "", "").object
		if o.GetDeletionTimestamp() == nil || fmt.Sprint(o.GetFinalizers()) != "["+finalizer+"]" {
			w.Errorf("%s: deleted %v, finalizers %v", policy, o.GetDeletionTimestamp(), o.GetFinalizers())
		}
		w.want(http.StatusOK, http.MethodPatch, "/"+name, mergePatch, `{"metadata":{"finalizers":null}}`)
		w.want(http.StatusNotFound, http.MethodGet, "/"+name, "", "")
	}
}
