package validation_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// TestMutatedPods breaks the recorded bodies in many ways and wants no panic, and defaults that are idempotent. It is
// the fuzz target's quick sibling, which every run can afford: same seed, same Pods.
func TestMutatedPods(t *testing.T) {
	const rounds = 20
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range recordedCases(t) {
		for range rounds {
			var body any
			if json.Unmarshal(c.Body, &body) != nil {
				break
			}
			for range 1 + r.IntN(3) {
				body = mutate(r, body)
			}
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			p := &corev1.Pod{}
			if json.Unmarshal(raw, p) != nil {
				continue
			}
			judgeTwice(t, p)
		}
	}
}

func judgeTwice(t *testing.T, p *corev1.Pod) {
	t.Helper()
	defaults.SetPod(p)
	once, _ := json.Marshal(p)
	defaults.SetPod(p)
	if twice, _ := json.Marshal(p); string(once) != string(twice) {
		t.Fatalf("defaults are not idempotent:\n%s\n%s", once, twice)
	}
	validation.DropDisabledPodFields(p, nil)
	_ = validation.PodCreate(p)
	_ = validation.PodWarnings(p)
	old := p.DeepCopy()
	_ = validation.PodUpdate(p, old)
	_ = validation.PodEphemeralContainersUpdate(p, old)
	_ = validation.PodResize(p, old)
	_ = validation.PodStatusUpdate(p, old)
	_ = validation.PodUpdate(&corev1.Pod{}, old)
	_ = validation.PodResize(old, &corev1.Pod{})
}

// mutate changes one place of a JSON value: drops it, empties it, doubles it or puts something strange there.
func mutate(r *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if r.IntN(len(v)) > 0 {
				continue
			}
			if r.IntN(4) == 0 {
				v[key] = strange(r)
			} else {
				v[key] = mutate(r, child)
			}
			return v
		}
	case []any:
		if len(v) == 0 || r.IntN(4) == 0 {
			return append(v, v...)
		}
		i := r.IntN(len(v))
		v[i] = mutate(r, v[i])
		return v
	}
	return strange(r)
}

func strange(r *rand.Rand) any {
	return []any{nil, "", "..", "-1", "A_ b", "1e99", -1, 0, 70000, true, false, map[string]any{}, []any{}, []any{map[string]any{}}, "a['", "localhost/"}[r.IntN(16)]
}
