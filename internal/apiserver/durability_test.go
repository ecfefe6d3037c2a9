package apiserver

import (
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
