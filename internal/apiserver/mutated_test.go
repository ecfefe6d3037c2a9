package apiserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// mutations are objects that kube-apiserver 1.37.2 accepted, and Pods that are there when they are sent.
type mutations struct {
	Given []json.RawMessage `json:"given"`
	Bases map[string]struct {
		Pod  string         `json:"pod"`  // whose subresource it is sent to
		Body map[string]any `json:"body"` // the Pod as it is stored, if none
		Spec map[string]any `json:"spec"` // with all defaults
	} `json:"bases"`
}

// mutation is one value changed in one of them, and what kube-apiserver 1.37.2 said to that. Without a value it is removed.
type mutation struct {
	On     string          `json:"on"` // create, ephemeral, resize or status, and the base
	At     []any           `json:"at"`
	Value  json.RawMessage `json:"value"`
	Code   int             `json:"code"`
	Fields []string        `json:"fields"`
}

// TestMutatedCases holds this server against kube-apiserver's verdicts on Pods with one value of every field wrong, odd or absent.
func TestMutatedCases(t *testing.T) {
	c := judge(t)
	content, err := os.ReadFile("testdata/cases/mutated.json")
	if err != nil {
		t.Fatal(err)
	}
	var m mutations
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	m.prepare(t, c)
	f, err := os.Open("testdata/cases/mutated.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, count := bufio.NewScanner(f), 0
	for ; lines.Scan(); count++ {
		var one mutation
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		if code, o := m.send(t, c, &one); code != one.Code || !slices.Equal(refused(o), one.Fields) {
			t.Errorf("%s\n%d %q %v", lines.Text(), code, refused(o), o["message"])
		}
	}
	if lines.Err() != nil || count < 3000 {
		t.Errorf("%d cases, %v", count, lines.Err())
	}
}

// judge is this server, or the one of the kubeconfig that MAYFLY_REFERENCE names (hack/reference.sh), from which the verdicts are.
func judge(t *testing.T) caller {
	t.Helper()
	var config *rest.Config
	if reference := os.Getenv("MAYFLY_REFERENCE"); reference == "" {
		config = start(t).Admin()
	} else {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", reference); err != nil {
			t.Fatal(err)
		}
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return caller{http: httpClient, url: config.Host}
}

// prepare makes the Pods that are given, and sees that the bases are taken as they are.
func (m *mutations) prepare(t *testing.T, c caller) {
	t.Helper()
	must := func(method, path, body, ctype string) map[string]any {
		t.Helper()
		code, o, err := c.send(method, path, []byte(body), ctype)
		if err != nil || code >= 300 {
			t.Fatalf("%s %s: %d %v %v", method, path, code, o["message"], err)
		}
		return o
	}
	const js, pods = "application/json", "/api/v1/namespaces/cases/pods"
	must("POST", "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"cases"}}`, js)
	must("POST", "/api/v1/namespaces/cases/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`, js)
	for _, pod := range m.Given {
		must("POST", pods, string(pod), js)
	}
	must("PATCH", pods+"/used/ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"dbg","image":"busybox"}]}}`, "application/strategic-merge-patch+json")
	for name, base := range m.Bases {
		if base.Spec == nil {
			continue
		}
		body, err := json.Marshal(base.Body)
		if err != nil {
			t.Fatal(err)
		}
		if o := must("POST", pods+"?dryRun=All", string(body), js); !equalJSON(o["spec"], base.Spec) {
			t.Errorf("%s: spec %v\nwant %v", name, o["spec"], base.Spec)
		}
	}
}

// equalJSON compares what both are written as.
func equalJSON(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

func (m *mutations) send(t *testing.T, c caller, one *mutation) (int, map[string]any) {
	t.Helper()
	operation, _, _ := strings.Cut(one.On, " ")
	base, ok := m.Bases[one.On]
	if !ok {
		t.Fatalf("no base %s", one.On)
	}
	pods := "/api/v1/namespaces/cases/pods"
	method, path, ctype := "PUT", fmt.Sprintf("%s/%s/%s?dryRun=All", pods, base.Pod, operation), "application/json"
	body := base.Body
	var mutated any
	switch operation {
	case "create":
		method, path = "POST", pods+"?dryRun=All"
		mutated = one.apply(t, body)
	case "ephemeral":
		method, path, ctype = "PATCH", fmt.Sprintf("%s/%s/ephemeralcontainers?dryRun=All", pods, base.Pod), "application/strategic-merge-patch+json"
		mutated = map[string]any{"spec": map[string]any{"ephemeralContainers": []any{one.apply(t, body)}}}
	default:
		_, stored, err := c.send("GET", pods+"/"+base.Pod, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if operation == "resize" {
			stored = one.apply(t, stored).(map[string]any)
		} else {
			stored["status"] = one.apply(t, body)
		}
		mutated = stored
	}
	text, err := json.Marshal(mutated)
	if err != nil {
		t.Fatal(err)
	}
	code, o, err := c.send(method, path, text, ctype)
	if err != nil {
		t.Fatal(err)
	}
	return code, o
}

// apply gives a copy of an object with the value in its place.
func (one *mutation) apply(t *testing.T, object map[string]any) any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var copied any
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return one.put(copied, one.At)
}

func (one *mutation) put(into any, at []any) any {
	if len(at) == 0 {
		return one.Value
	}
	if i, ok := at[0].(float64); ok {
		list := into.([]any)
		list[int(i)] = one.put(list[int(i)], at[1:])
		return list
	}
	object, ok := into.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	key := at[0].(string)
	if len(at) == 1 && one.Value == nil {
		delete(object, key)
	} else {
		object[key] = one.put(object[key], at[1:])
	}
	return object
}
