package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backup gives the snapshot that the handler sends.
func backup(t *testing.T, i *instance) []byte {
	t.Helper()
	server := httptest.NewServer(i.BackupHandler())
	defer server.Close()
	r, err := http.Get(server.URL + "/snapshot")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r.Status, err)
	}
	return data
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": name}}
}

func version(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRestoreBringsBackWhatWasBackedUp(t *testing.T) {
	i := start(t)
	maps := clientset(t, i.Admin()).CoreV1().ConfigMaps("default")
	for _, name := range []string{"kept", "changed"} {
		if _, err := maps.Create(t.Context(), configMap(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, backup(t, i), 0o600); err != nil {
		t.Fatal(err)
	}
	// What happens after the backup is forgotten, but versions go on.
	if _, err := maps.Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "changed"}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	late, err := maps.Create(t.Context(), configMap("late"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	if err := Restore(file, dir); err != nil {
		t.Fatal(err)
	}
	if err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), "holds data already") {
		t.Errorf("restored over data: %v", err)
	}
	restored := launch(t, dir, nil)
	t.Cleanup(restored.Stop)
	maps = clientset(t, restored.Admin()).CoreV1().ConfigMaps("default")
	for _, name := range []string{"kept", "changed"} {
		if m, err := maps.Get(t.Context(), name, metav1.GetOptions{}); err != nil || m.Data["k"] != name {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	if _, err := maps.Get(t.Context(), "late", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("late: %v", err)
	}
	after, err := maps.Create(t.Context(), configMap("after"), metav1.CreateOptions{})
	if err != nil || version(t, after.ResourceVersion) <= version(t, late.ResourceVersion) {
		t.Errorf("version %v after %s: %v", after, late.ResourceVersion, err)
	}
	// A watch from before the restore would go back in time: it has to begin anew.
	w, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: late.ResourceVersion})
	if err == nil {
		event := <-w.ResultChan()
		w.Stop()
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch of an old version: %v", err)
	}
}

func TestDamagedBackupsAreRefused(t *testing.T) {
	good := backup(t, start(t))
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, data := range map[string][]byte{"cut": good[:len(good)-512], "without sum": good[:len(good)-32], "flipped": flipped, "empty": nil, "other": []byte("rubbish")} {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "etcd")); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %v %v", name, left, err)
		}
	}
}

func TestABackupDuringWritesIsOfOneMoment(t *testing.T) {
	i := start(t)
	maps := clientset(t, i.Admin()).CoreV1().ConfigMaps("default")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = maps.Create(ctx, configMap(fmt.Sprintf("m%05d", n)), metav1.CreateOptions{})
		}
	}()
	eventually(t, "the writer is on its way", func() bool {
		_, err := maps.Get(t.Context(), "m00020", metav1.GetOptions{})
		return err == nil
	})
	data := backup(t, i)
	stop()
	<-done
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Restore(file, dir); err != nil {
		t.Fatal(err)
	}
	restored := launch(t, dir, nil)
	t.Cleanup(restored.Stop)
	list, err := clientset(t, restored.Admin()).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) < 21 {
		t.Fatalf("%d config maps, %v", len(list.Items), err)
	}
	for n, m := range list.Items {
		if want := fmt.Sprintf("m%05d", n); m.Name != want {
			t.Fatalf("%s where %s was written before what follows", m.Name, want)
		}
	}
}

func TestTheDataOfAnExternalEtcdIsItsOwnToBackUp(t *testing.T) {
	s := &Server{cfg: Config{EtcdServers: []string{"https://etcd.test:2379"}}}
	w := httptest.NewRecorder()
	s.BackupHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/snapshot", http.NoBody))
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "use etcdctl there") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
