package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/apiserver/storage"
)

// smallDisk mounts a filesystem of that many MiB; the test needs root for it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("mayfly-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		t.Fatalf("mount tmpfs (this test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes room of dir's filesystem until only leave bytes are free.
func fill(t *testing.T, dir string, leave int64) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for n := int64(s.Bavail)*s.Bsize - leave; n > 0; n -= int64(len(chunk)) {
		if _, err := f.Write(chunk[:min(n, int64(len(chunk)))]); err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// writer makes ConfigMaps until it is stopped, and knows which were acknowledged.
type writer struct {
	maps  corev1client.ConfigMapInterface
	name  string
	acked []string
	stop  chan struct{}
	done  chan struct{}
}

func write(t *testing.T, maps corev1client.ConfigMapInterface, name string) *writer {
	t.Helper()
	w := &writer{maps: maps, name: name, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for n := 0; ; n++ {
			select {
			case <-w.stop:
				return
			default:
			}
			name := fmt.Sprintf("%s-%d", w.name, n)
			_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": strings.Repeat("x", 2000)}}, metav1.CreateOptions{})
			if err == nil {
				w.acked = append(w.acked, name)
			}
		}
	}()
	return w
}

func (w *writer) end() []string {
	close(w.stop)
	<-w.done
	return w.acked
}

func TestFullDiskRefusesWritesAndRecovers(t *testing.T) {
	dir := smallDisk(t, 128)
	i := launch(t, dir, nil)
	stop := i.Stop
	defer func() { stop() }()
	maps := clientset(t, i.Admin()).CoreV1().ConfigMaps("default")
	w := write(t, maps, "busy")
	time.Sleep(200 * time.Millisecond)

	fill(t, dir, 24<<20)
	_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "refused"}}, metav1.CreateOptions{})
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusInsufficientStorage ||
		status.Status().Reason != storage.ReasonInsufficientStorage || !strings.Contains(err.Error(), filepath.Join(dir, "etcd")) {
		t.Errorf("write on a full disk: %v", err)
	}
	if err := maps.Delete(t.Context(), "busy-0", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete with a little room: %v", err)
	}

	fill(t, dir, 0)
	if err := maps.Delete(t.Context(), "busy-1", metav1.DeleteOptions{}); err == nil {
		t.Error("a deletion needs room too")
	}
	time.Sleep(300 * time.Millisecond) // etcd commits what it has accepted every 100 ms
	list, err := maps.List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil || len(list.Items) == 0 {
		t.Fatalf("read on a full disk: %v", err)
	}
	if _, err := maps.Get(t.Context(), "busy-2", metav1.GetOptions{}); err != nil {
		t.Errorf("read on a full disk: %v", err)
	}

	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "again"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("write with room again: %v", err)
	}
	acked := append(w.end(), "again")
	i.Stop()
	i = launch(t, dir, nil)
	stop = i.Stop
	expect(t, i, acked, "busy-0")
}

// expect finds every acknowledged ConfigMap but the deleted ones.
func expect(t *testing.T, i *instance, acked []string, deleted ...string) {
	t.Helper()
	list, err := clientset(t, i.Admin()).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, m := range list.Items {
		have[m.Name] = true
	}
	for _, name := range deleted {
		if have[name] {
			t.Errorf("%s came back", name)
		}
		have[name] = true
	}
	for _, name := range acked {
		if !have[name] {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
}

func TestFullDiskRefusesToStart(t *testing.T) {
	dir := smallDisk(t, 64)
	fill(t, dir, 8<<20)
	if err := openAgain(t, dir); err == nil || !strings.Contains(err.Error(), "no room on the disk of "+filepath.Join(dir, "etcd")) {
		t.Errorf("error: %v", err)
	}
}
