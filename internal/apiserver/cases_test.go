package apiserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const casesNamespace = "cases"

// recorded is a request and what kube-apiserver 1.37.2 answered to it. A string Body is not JSON; Put and Merge ask
// for the stored Pod of that name with those spec fields laid over it.
type recorded struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	CType  string          `json:"ctype"`
	Body   json.RawMessage `json:"body"`
	Put    string          `json:"put"`
	Merge  map[string]any  `json:"merge"`
	Want   map[string]any  `json:"want"`
}

type caller struct {
	http *http.Client
	url  string
}

func (c caller) send(method, path string, body []byte, ctype string) (int, map[string]any, error) {
	r, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", ctype)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	var o map[string]any
	if json.Unmarshal(raw, &o) != nil {
		o = map[string]any{"message": string(raw)}
	}
	return resp.StatusCode, o, nil
}

// must sends what has to be taken.
func (c caller) must(t *testing.T, method, path, body, ctype string) map[string]any {
	t.Helper()
	code, o, err := c.send(method, path, []byte(body), ctype)
	if err != nil || code >= 300 {
		t.Fatalf("%s %s: %d %v %v", method, path, code, o["message"], err)
	}
	return o
}

// TestRecordedCases holds this server against the recorded verdicts: the status code agrees; where the reference
// refused, so does the set of refused fields; where it accepted, every recorded default stands.
func TestRecordedCases(t *testing.T) {
	c := judge(t)
	raw, err := os.ReadFile("testdata/cases/given.json")
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		t.Fatal(err)
	}
	prepareCases(t, c, slices.Collect(maps.Values(given)))
	f, err := os.Open("testdata/cases/pods.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4<<20)
	count := 0
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		count++
		t.Run(r.Name, func(t *testing.T) {
			if diff := r.check(c); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := lines.Err(); err != nil || count < 290 {
		t.Fatalf("%d cases: %v", count, err)
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

const casesPods = "/api/v1/namespaces/" + casesNamespace + "/pods"

// prepareCases makes the Pods that are given, and gives the one called used an ephemeral container.
func prepareCases(t *testing.T, c caller, given []json.RawMessage) {
	t.Helper()
	const js = "application/json"
	c.must(t, "POST", "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"cases"}}`, js)
	c.must(t, "POST", "/api/v1/namespaces/cases/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`, js)
	for _, pod := range given {
		c.must(t, "POST", casesPods, string(pod), js)
	}
	c.must(t, "PATCH", casesPods+"/used/ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"dbg","image":"busybox"}]}}`, "application/strategic-merge-patch+json")
}

func (r recorded) check(c caller) string {
	body, err := r.body(c)
	if err != nil {
		return err.Error()
	}
	code, o, err := c.send(r.Method, r.Path, body, r.CType)
	if err != nil {
		return err.Error()
	}
	want := int(r.Want["code"].(float64))
	if code != want {
		return fmt.Sprintf("code %d, want %d (%v)\n got: %v", code, want, r.Want["message"], o["message"])
	}
	if want >= 400 {
		got, fields := refused(o), wantedFields(r.Want)
		if !slices.Equal(got, fields) {
			return fmt.Sprintf("fields %q, want %q (%v)\n got: %v", got, fields, r.Want["message"], o["message"])
		}
		return ""
	}
	return r.compareAccepted(o)
}

func (r recorded) body(c caller) ([]byte, error) {
	if r.Put != "" {
		_, o, err := c.send("GET", casesPods+"/"+r.Put, nil, "")
		if err != nil {
			return nil, err
		}
		spec, ok := o["spec"].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("given pod %s is missing", r.Put)
		}
		for k, v := range r.Merge {
			spec[k] = v
		}
		return json.Marshal(o)
	}
	var text string
	if json.Unmarshal(r.Body, &text) == nil && len(r.Body) > 0 && r.Body[0] == '"' {
		// One character is one byte of what was sent.
		raw := make([]byte, 0, len(text))
		for _, c := range text {
			raw = append(raw, byte(c))
		}
		return raw, nil
	}
	if string(r.Body) == "null" {
		return nil, nil
	}
	return r.Body, nil
}

func (r recorded) compareAccepted(o map[string]any) string {
	got := map[string]any{"kind": o["kind"]}
	if o["kind"] == "Pod" {
		got["spec"] = scrub(o["spec"])
		got["labels"] = o["metadata"].(map[string]any)["labels"]
	} else if kind, ok := o["kind"].(string); ok && strings.HasSuffix(kind, "List") {
		names := []any{}
		items, _ := o["items"].([]any)
		for _, item := range items {
			names = append(names, item.(map[string]any)["metadata"].(map[string]any)["name"])
		}
		slices.SortFunc(names, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		got["names"] = names
	}
	for _, k := range []string{"kind", "spec", "labels", "names"} {
		if !covers(r.Want[k], got[k]) {
			w, _ := json.Marshal(r.Want[k])
			g, _ := json.Marshal(got[k])
			return fmt.Sprintf("%s\nwant %s\n got %s", k, w, g)
		}
	}
	return ""
}

func refused(o map[string]any) []string {
	fields := map[string]bool{}
	details, _ := o["details"].(map[string]any)
	causes, _ := details["causes"].([]any)
	for _, c := range causes {
		field, _ := c.(map[string]any)["field"].(string)
		fields[field] = true
	}
	return sorted(fields)
}

func wantedFields(want map[string]any) []string {
	fields := map[string]bool{}
	list, _ := want["fields"].([]any)
	for _, f := range list {
		fields[f.(string)] = true
	}
	return sorted(fields)
}

func sorted(set map[string]bool) []string {
	out := []string{}
	for f := range set {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

func scrub(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			switch k {
			case "uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp":
			default:
				out[k] = scrub(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = scrub(v[i])
		}
		return out
	}
	return v
}

// covers tells whether every wanted value stands in got, which may say more where the reference was silent.
func covers(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range w {
			if !covers(v, g[k]) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for i := range w {
			if !covers(w[i], g[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got) || isZero(want) && isZero(got)
}

func isZero(v any) bool { return v == nil || v == "" || v == false || v == float64(0) }
