package apiserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
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

// prepare makes the Pods that are given, and sees that the bases are taken as they are.
func (m *mutations) prepare(t *testing.T, c caller) {
	t.Helper()
	prepareCases(t, c, m.Given)
	for name, base := range m.Bases {
		if base.Spec == nil {
			continue
		}
		body, err := json.Marshal(base.Body)
		if err != nil {
			t.Fatal(err)
		}
		if o := c.must(t, "POST", casesPods+"?dryRun=All", string(body), "application/json"); !reflect.DeepEqual(o["spec"], any(base.Spec)) {
			t.Errorf("%s: spec %v\nwant %v", name, o["spec"], base.Spec)
		}
	}
}

func (m *mutations) send(t *testing.T, c caller, one *mutation) (int, map[string]any) {
	t.Helper()
	operation, _, _ := strings.Cut(one.On, " ")
	base, ok := m.Bases[one.On]
	if !ok {
		t.Fatalf("no base %s", one.On)
	}
	method, path, ctype := "PUT", fmt.Sprintf("%s/%s/%s?dryRun=All", casesPods, base.Pod, operation), "application/json"
	body := base.Body
	var mutated any
	switch operation {
	case "create":
		method, path = "POST", casesPods+"?dryRun=All"
		mutated = one.apply(body)
	case "ephemeral":
		method, path, ctype = "PATCH", fmt.Sprintf("%s/%s/ephemeralcontainers?dryRun=All", casesPods, base.Pod), "application/strategic-merge-patch+json"
		mutated = map[string]any{"spec": map[string]any{"ephemeralContainers": []any{one.apply(body)}}}
	default:
		_, stored, err := c.send("GET", casesPods+"/"+base.Pod, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if operation == "resize" {
			stored = one.apply(stored).(map[string]any)
		} else {
			stored["status"] = one.apply(body)
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
func (one *mutation) apply(object map[string]any) any {
	return one.put(runtime.DeepCopyJSON(object), one.At)
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
