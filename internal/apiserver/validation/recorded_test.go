package validation_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// recordedCase is one request and what kube-apiserver 1.37.2 answered.
type recordedCase struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Type   string          `json:"ctype"`
	Body   json.RawMessage `json:"body"`
	Want   struct {
		Code    int            `json:"code"`
		Fields  []string       `json:"fields"`
		Message string         `json:"message"`
		Spec    map[string]any `json:"spec"`
	} `json:"want"`
}

// TestRecordedPods runs the recorded creations and updates through defaults and rules, without HTTP. Verdicts that
// another part reaches (decoding, admission, routing) show as codes other than 200, 201 and 422 or without fields.
func TestRecordedPods(t *testing.T) {
	given := givenPods(t)
	for _, c := range recordedCases(t) {
		judged := c.Want.Code < 300 || c.Want.Code == 422 && len(c.Want.Fields) > 0
		subresource, target := targetOf(c.Path)
		isPod := subresource == "" || subresource == "ephemeralcontainers" || subresource == "resize"
		if !judged || !isPod || c.Method == "GET" || c.Method == "PUT" || strings.Contains(c.Name, "unknown") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var pod *corev1.Pod
			var errs field.ErrorList
			if c.Method == "POST" {
				pod, errs = create(t, c.Body)
			} else {
				pod, errs = update(t, c, given[target], subresource)
			}
			check(t, c, pod, errs)
		})
	}
}

// check compares the verdict, and what was defaulted, with the recorded ones.
func check(t *testing.T, c recordedCase, pod *corev1.Pod, errs field.ErrorList) {
	t.Helper()
	fields := []string{}
	for _, e := range errs {
		if !slices.Contains(fields, e.Field) {
			fields = append(fields, e.Field)
		}
	}
	slices.Sort(fields)
	if want := append([]string{}, c.Want.Fields...); !slices.Equal(fields, want) {
		t.Fatalf("refused fields %v, want %v\n%v\nwant %s", fields, want, errs.ToAggregate(), c.Want.Message)
	}
	if len(errs) > 0 {
		if got := message(pod, errs); got != c.Want.Message {
			t.Errorf("message\n%s\nwant\n%s", got, c.Want.Message)
		}
		return
	}
	got := map[string]any{}
	raw, _ := json.Marshal(pod.Spec)
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	// Admission chooses these.
	for _, f := range []string{"tolerations", "priority", "preemptionPolicy", "serviceAccount", "serviceAccountName"} {
		delete(c.Want.Spec, f)
	}
	if at := missing("spec", c.Want.Spec, got); at != "" {
		t.Errorf("default %s", at)
	}
}

func message(pod *corev1.Pod, errs field.ErrorList) string {
	return fmt.Sprintf("Pod %q is invalid: %v", pod.Name, errs.ToAggregate())
}

// missing names the first recorded value that does not stand in the answer.
func missing(at string, want, got any) string {
	if empty(want) && empty(got) {
		return ""
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		for k, v := range w {
			if m := missing(at+"."+k, v, g[k]); m != "" {
				return m
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		for i := range w {
			if m := missing(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); m != "" {
				return m
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: %v, want %v", at, got, want)
	}
	return ""
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	}
	return false
}

func create(t *testing.T, body []byte) (*corev1.Pod, field.ErrorList) {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal(body, pod); err != nil {
		t.Skipf("not a Pod, so not for the rules: %v", err)
	}
	if pod.Namespace == "" {
		pod.Namespace = "cases"
	}
	defaults.SetPod(pod)
	defaults.SetPodResources(pod)
	validation.DropDisabledPodFields(pod, nil)
	return pod, validation.PodCreate(pod)
}

func update(t *testing.T, c recordedCase, old *corev1.Pod, subresource string) (*corev1.Pod, field.ErrorList) {
	t.Helper()
	before, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	var after []byte
	switch {
	case strings.HasPrefix(c.Type, "application/strategic") || strings.HasPrefix(c.Type, "application/apply"):
		after, err = strategicpatch.StrategicMergePatch(before, c.Body, corev1.Pod{})
	case strings.HasPrefix(c.Type, "application/merge"):
		after, err = jsonpatch.MergePatch(before, c.Body)
	default:
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(c.Body); err == nil {
			after, err = p.Apply(before)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(after, pod); err != nil {
		t.Fatal(err)
	}
	defaults.SetPod(pod)
	defaults.SetPodResources(pod)
	validation.DropDisabledPodFields(pod, old)
	pod.Status = old.Status
	switch subresource {
	case "ephemeralcontainers":
		added := pod.Spec.EphemeralContainers
		pod = old.DeepCopy()
		pod.Spec.EphemeralContainers = added
		return pod, validation.PodEphemeralContainersUpdate(pod, old)
	case "resize":
		return pod, validation.PodResize(pod, old)
	}
	return pod, validation.PodUpdate(pod, old)
}

func targetOf(path string) (subresource, name string) {
	path, _, _ = strings.Cut(path, "?")
	_, rest, _ := strings.Cut(path, "/pods")
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	if len(parts) == 2 {
		return parts[1], parts[0]
	}
	return "", parts[0]
}

func recordedCases(t *testing.T) []recordedCase {
	t.Helper()
	f, err := os.Open("testdata/pods.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []recordedCase
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var c recordedCase
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return cases
}

// givenPods are the Pods that the recorded updates start from.
func givenPods(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	raw, err := os.ReadFile("testdata/given.json")
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]*corev1.Pod{}
	if err := json.Unmarshal(raw, &pods); err != nil {
		t.Fatal(err)
	}
	for name, pod := range pods {
		pod.UID, pod.ResourceVersion = "11111111-1111-1111-1111-111111111111", "1"
		if name == "used" {
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "dbg", Image: "busybox"},
			}}
		}
		defaults.SetPod(pod)
		defaults.SetPodResources(pod)
	}
	return pods
}
