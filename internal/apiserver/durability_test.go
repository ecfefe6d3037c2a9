package apiserver

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mayfly-run/mayfly/internal/pki"
)

func TestRestartKeepsWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	first := launch(t, dir, nil)
	stopped := false
	defer func() {
		if !stopped {
			first.Stop()
		}
	}()
	maps := clientset(t, first.Admin()).CoreV1().ConfigMaps("default")
	made, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()
	stopped = true
	second := launch(t, dir, nil)
	defer second.Stop()
	found, err := clientset(t, second.Admin()).CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found.UID != made.UID || found.ResourceVersion != made.ResourceVersion || found.Data["a"] != "b" {
		t.Errorf("found %v, made %v", found, made)
	}
}

// openAgain tries to assemble a server on dir and returns what it says.
func openAgain(t *testing.T, dir string) error {
	t.Helper()
	files, err := pki.Ensure(filepath.Join(dir, "pki"), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = New(t.Context(), Config{
		DataDir: dir, Listener: listener,
		ServingCertFile: files.ServingCert, ServingKeyFile: files.ServingKey, ClientCAFile: files.CACert,
	})
	return err
}

func TestSecondServerOnADirectoryIsRefused(t *testing.T) {
	i := start(t)
	err := openAgain(t, i.Dir)
	if err == nil || !strings.Contains(err.Error(), i.Dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error: %v", err)
	}
}

func TestCorruptDataNamesTheDirectory(t *testing.T) {
	for _, pattern := range []string{"wal/*.wal", "snap/db"} {
		t.Run(pattern, func(t *testing.T) {
			dir := t.TempDir()
			launch(t, dir, nil).Stop()
			files, err := filepath.Glob(filepath.Join(dir, "etcd/data/member", pattern))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, name := range files {
				if err := os.WriteFile(name, []byte(strings.Repeat("not what etcd wrote here, whatever it was", 1000)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := openAgain(t, dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "etcd")) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// unpack extracts an archive of testdata below dir.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if err == io.EOF {
			return
		}
		if err == nil && h.FileInfo().IsDir() {
			err = os.MkdirAll(filepath.Join(dir, h.Name), 0o700)
		} else if err == nil {
			var data []byte
			if data, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(filepath.Join(dir, h.Name), data, 0o600)
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", archive, err)
		}
	}
}

// The store is what the first Mayfly that landed, 66c16b0, left behind.
func TestAStoreOfAnOlderMayflyOpens(t *testing.T) {
	dir := t.TempDir()
	unpack(t, "testdata/store-66c16b0.tar.gz", dir)
	i := launch(t, dir, nil)
	t.Cleanup(i.Stop)
	set := clientset(t, i.Admin())
	pod, err := set.CoreV1().Pods("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Spec.EphemeralContainers) != 1 || pod.Labels["a"] != "b" || len(pod.ManagedFields) == 0 {
		t.Errorf("pod: %+v", pod)
	}
	if s, err := set.CoreV1().Secrets("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil || string(s.Data["a"]) != "b" {
		t.Errorf("secret: %v, %v", s, err)
	}
	deployment, err := set.AppsV1().Deployments("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deployment.Labels = map[string]string{"new": "yes"}
	if _, err := set.AppsV1().Deployments("default").Update(t.Context(), deployment, metav1.UpdateOptions{}); err != nil {
		t.Errorf("update: %v", err)
	}
	if err := set.CoreV1().Namespaces().Delete(t.Context(), "elsewhere", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
}
