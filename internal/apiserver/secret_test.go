package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// TestStringDataIsWrittenAndNeverRead sends it by each way of writing: the type needs its key in the data.
func TestStringDataIsWrittenAndNeverRead(t *testing.T) {
	secrets := clientset(t, start(t).Admin()).CoreV1().Secrets("default")
	created, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: "{}"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.StringData = map[string]string{"put": "1"}
	if _, err := secrets.Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		if _, err := secrets.Patch(t.Context(), "s", kind, []byte(`{"stringData":{"put":"2"}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	applied := applycorev1.Secret("s", "default").WithStringData(map[string]string{"applied": "3"})
	if _, err := secrets.Apply(t.Context(), applied, metav1.ApplyOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
	got, err := secrets.Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{corev1.DockerConfigJsonKey: []byte("{}"), "put": []byte("2"), "applied": []byte("3")}
	if d := cmp.Diff(want, got.Data); d != "" || got.StringData != nil {
		t.Errorf("%s; stringData %v", d, got.StringData)
	}
}
