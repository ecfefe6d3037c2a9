package scheme

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/mayfly-run/mayfly/internal/api"
)

// decode reads body as the update handler of pods/ephemeralcontainers does.
func decode(t testing.TB, body []byte) (*corev1.Pod, error) {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(s)
	decoder := codecs.UniversalDecoder(schema.GroupVersion{Version: "__internal"})
	kind := corev1.SchemeGroupVersion.WithKind("Pod")
	o, _, err := decoder.Decode(body, &kind, &corev1.Pod{})
	if err != nil {
		return nil, err
	}
	return o.(*corev1.Pod), nil
}

func TestOldKindDecodesIntoAMarkedPod(t *testing.T) {
	pod, err := decode(t, []byte(`{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"p"},"ephemeralContainers":[{"name":"d","image":"busybox:1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !IsEphemeralContainers(pod) || pod.Name != "p" {
		t.Errorf("pod: %+v", pod.ObjectMeta)
	}
	want := []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "d", Image: "busybox:1", ImagePullPolicy: corev1.PullIfNotPresent,
		TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}}}
	if diff := cmp.Diff(want, pod.Spec.EphemeralContainers); diff != "" {
		t.Error(diff)
	}
}

func TestAnswerInTheOldKind(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", ResourceVersion: "7", Labels: map[string]string{"a": "b"}}}
	got := EphemeralContainersFromPod(pod)
	if got.SelfLink != "/api/v1/namespaces/n/pods/p/ephemeralcontainers" || got.ResourceVersion != "7" || got.Labels != nil || got.EphemeralContainers == nil {
		t.Errorf("answer: %+v", got)
	}
}

func FuzzEphemeralContainers(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"v1","kind":"EphemeralContainers","metadata":{"name":"p"},"ephemeralContainers":[{"name":"d"}]}`))
	f.Add([]byte("apiVersion: v1\nkind: EphemeralContainers\nephemeralContainers:\n- name: d\n"))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","spec":{"ephemeralContainers":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		pod, err := decode(t, body)
		if err != nil || !IsEphemeralContainers(pod) {
			return
		}
		// The answer, sent back, says the same.
		answer := EphemeralContainersFromPod(pod)
		raw, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		var again api.EphemeralContainers
		if err := json.Unmarshal(raw, &again); err != nil {
			t.Fatal(err)
		}
		if len(again.EphemeralContainers) != len(pod.Spec.EphemeralContainers) {
			t.Errorf("%d containers came back of %d", len(again.EphemeralContainers), len(pod.Spec.EphemeralContainers))
		}
	})
}
