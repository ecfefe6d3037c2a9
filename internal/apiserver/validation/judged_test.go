package validation_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestJudgedPods has the verdicts on new Pods that no recorded case has, each judged by hand against the rules of
// kube-apiserver 1.37: the refused fields, none if valid. Every feature that is on by default has its own.
func TestJudgedPods(t *testing.T) {
	raw, err := os.ReadFile("testdata/judged.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var c struct {
			Name string
			Body corev1.Pod
			Want string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		t.Run(c.Name, func(t *testing.T) {
			p := &c.Body
			p.Namespace, p.Spec.ServiceAccountName = "cases", "default"
			if p.Name == "" {
				p.Name = "x"
			}
			var got []string
			for _, e := range judged(p) {
				got = append(got, e.Field)
			}
			if fields := strings.Join(unique(got), ","); fields != c.Want {
				t.Errorf("refused %q, want %q", fields, c.Want)
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
