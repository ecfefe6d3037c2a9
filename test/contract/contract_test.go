// Package contract holds the API server against what kube-apiserver 1.37.2 answered: testdata/pods.jsonl has one recorded
// request a line and, under "want", the verdict. A case passes when the status code agrees and, where the reference
// refused, the set of refused fields; where it accepted, every recorded default stands.
package contract

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mayfly-run/mayfly/test/harness"
)

// request is one recorded request.
type request struct {
	Name        string
	Method      string
	Path        string
	ContentType string `json:"ctype"`
	// Body is JSON; a JSON string stands for bytes that are not, one character a byte.
	Body json.RawMessage
	// Put names a stored Pod to send back with the fields of Merge laid over its spec.
	Put   string
	Merge map[string]any
	Want  map[string]any
}

func TestPods(t *testing.T) {
	tools, err := harness.Find()
	if err != nil {
		t.Fatal(err)
	}
	instance, err := harness.Start(context.Background(), tools)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := connect(instance.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	requests := read(t)
	if err := s.prepare(given(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		t.Run(r.Name, func(t *testing.T) {
			got, err := s.verdict(r)
			if err != nil {
				t.Fatal(err)
			}
			if why := compare(r.Want, got); why != "" {
				t.Errorf("%s %s: %s\n%s", r.Method, r.Path, why, r.Body)
			}
		})
	}
}

// compare says what of the recorded verdict does not stand in the answer, or nothing.
func compare(want, got map[string]any) string {
	if want["code"] != got["code"] {
		return cmp.Diff(want, got)
	}
	if want["code"].(float64) >= 400 {
		return cmp.Diff(want["fields"], got["fields"])
	}
	for _, part := range []string{"kind", "spec", "labels", "names"} {
		if !covers(want[part], got[part]) {
			return part + ": " + cmp.Diff(want[part], got[part])
		}
	}
	return ""
}

// covers tells whether every recorded value stands in the answer, which may say more only where the reference said
// nothing.
func covers(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for key, value := range want {
			ok = ok && covers(value, got[key])
		}
		return ok
	case []any:
		got, ok := got.([]any)
		ok = ok && len(want) == len(got)
		for i := 0; ok && i < len(want); i++ {
			ok = covers(want[i], got[i])
		}
		return ok || len(want) == 0 && len(got) == 0
	default:
		return want == got || empty(want) && empty(got)
	}
}

func empty(value any) bool {
	return value == nil || value == "" || value == false || value == 0.0
}

func read(t *testing.T) []request {
	file, err := os.Open(filepath.Join("testdata", "pods.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var requests []request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("line %d: %v", len(requests)+1, err)
		}
		requests = append(requests, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(requests) != 290 {
		t.Fatalf("%d requests are recorded, not 290", len(requests))
	}
	return requests
}

// given are the Pods that are stored beforehand, by name.
func given(t *testing.T) map[string]json.RawMessage {
	data, err := os.ReadFile(filepath.Join("testdata", "given.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pods map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&pods); err != nil {
		t.Fatal(err)
	}
	return pods
}
