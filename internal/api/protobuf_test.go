package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestProtobufKeepsEverything(t *testing.T) {
	want := &EphemeralContainers{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", ResourceVersion: "7"},
		EphemeralContainers: []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "a", Image: "busybox", Command: []string{"sh"}, TTY: true}, TargetContainerName: "app"},
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "b"}},
		},
	}
	raw, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	// A field of a later version is skipped.
	raw = append(raw, 0x7a, 1, 'x', 0x80, 0x01, 5)
	var got EphemeralContainers
	if err := got.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Error(diff)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 3, 0x0a, 1, 'p', 0x12, 5, 0x0a, 3, 0x0a, 1, 'd'})
	f.Add([]byte{0x12, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got EphemeralContainers
		if got.Unmarshal(raw) != nil {
			return
		}
		if _, err := got.Marshal(); err != nil {
			t.Error(err)
		}
	})
}
