package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const web = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: app, image: busybox}]}\n"

func TestDecode(t *testing.T) {
	pod, err := Decode([]byte(web), "web.yaml", "N1")
	if err != nil {
		t.Fatal(err)
	}
	if pod.Name != "web-n1" || pod.Namespace != "default" || pod.Spec.NodeName != "N1" || len(pod.Spec.Tolerations) != 1 {
		t.Errorf("pod %v", pod)
	}
	if pod.Annotations["kubernetes.io/config.source"] != "file" || pod.Annotations["kubernetes.io/config.hash"] != string(pod.UID) || len(pod.UID) != 32 {
		t.Errorf("UID %s, annotations %v", pod.UID, pod.Annotations)
	}
	for what, c := range map[string]struct{ content, file, node string }{
		"content": {web + "  # no change\n", "web.yaml", "N1"}, "other content": {strings.Replace(web, "busybox", "other", 1), "web.yaml", "N1"},
		"file": {web, "b.yaml", "N1"}, "node": {web, "web.yaml", "n2"},
	} {
		other, err := Decode([]byte(c.content), c.file, c.node)
		if err != nil || (other.UID == pod.UID) != (what == "content") {
			t.Errorf("another %s: %s and %s, %v", what, pod.UID, other.UID, err)
		}
	}
	for spec, want := range map[string]string{
		"serviceAccountName: a":                                          "service account",
		"volumes: [{name: v, secret: {secretName: s}}]":                  "secrets",
		"volumes: [{name: v, configMap: {name: s}}]":                     "config maps",
		"imagePullSecrets: [{name: s}]":                                  "secrets",
		"initContainers: [{name: i, envFrom: [{secretRef: {name: s}}]}]": "secrets",
	} {
		_, err := Decode([]byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {"+spec+"}\n"), "f", "n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	for _, content := range []string{"", "{", "kind: Pod", "apiVersion: v1\nkind: Node\nmetadata: {name: x}", "apiVersion: v1\nkind: Pod"} {
		if pod, err := Decode([]byte(content), "f", "n"); err == nil {
			t.Errorf("%q gives %v", content, pod)
		}
	}
}

func TestReadKeepsWhatIsBeingWritten(t *testing.T) {
	dir := t.TempDir()
	d := Directory{Path: dir, Node: "n", Complete: func(p *corev1.Pod) error {
		if p.Spec.Containers[0].Image == "bad" {
			return errors.New("invalid")
		}
		return nil
	}}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() types.UID {
		t.Helper()
		pods, err := d.Read(t.Context())
		if err != nil || len(pods) != 1 || pods[types.NamespacedName{Namespace: "default", Name: "web-n"}] == nil {
			t.Fatalf("%v, %v", pods, err)
		}
		return pods[types.NamespacedName{Namespace: "default", Name: "web-n"}].UID
	}
	write(".hidden.yaml", strings.Replace(web, "web", "hidden", 1))
	write("garbage", "{")
	write("twin.yaml", web)
	write("a.yaml", web)
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	first := read()
	for _, content := range []string{"", strings.Replace(web, "busybox", "bad", 1)} {
		write("a.yaml", content)
		if got := read(); got != first {
			t.Errorf("%q made it %s", content, got)
		}
	}
	write("a.yaml", strings.Replace(web, "busybox", "new", 1))
	if read() == first {
		t.Error("a change went unnoticed")
	}
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	read() // the twin comes up
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	changes := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- (&Directory{Path: dir}).Watch(t.Context(), func() { changes <- struct{}{} }) }()
	for _, name := range []string{"first", "second"} {
		<-changes // the first one comes before anything has changed
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-changes:
	case err := <-done:
		t.Fatal(err)
	case <-time.After(rereadPeriod / 2):
		t.Error("nothing is heard of a new file")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(web))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		pod, err := Decode(content, "f", "n")
		if err == nil && (pod.UID == "" || pod.Namespace == "" || pod.Spec.NodeName != "n") {
			t.Errorf("%v", pod)
		}
	})
}
