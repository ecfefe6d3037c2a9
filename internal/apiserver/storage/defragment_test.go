package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	rpctypes "go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func openEtcd(t *testing.T) *Etcd {
	t.Helper()
	e, err := OpenEtcd(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// waste grows the database by so many MiB that are of no use any more.
func waste(t *testing.T, e *Etcd, size int) {
	t.Helper()
	var revision int64
	for range size {
		r, err := e.client.Client.Put(t.Context(), "k", string(bytes.Repeat([]byte("x"), 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		revision = r.Header.Revision
	}
	if _, err := e.client.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	e.server.Backend().ForceCommit()
}

func TestUnusedSpaceIsGivenBack(t *testing.T) {
	e := openEtcd(t)
	waste(t, e, 16)
	before := e.server.Backend().Size()
	e.defragment(before + 1)
	if now := e.server.Backend().Size(); now != before {
		t.Errorf("a small database was defragmented from %d to %d bytes", before, now)
	}
	e.defragment(before)
	if after := e.server.Backend().Size(); after > before/2 {
		t.Errorf("%d bytes after %d", after, before)
	}
	if r, err := e.client.Client.Get(t.Context(), "k"); err != nil || len(r.Kvs) != 1 || len(r.Kvs[0].Value) != 1<<20 {
		t.Errorf("read after it: %v", err)
	}
}

func TestUnusedSpaceIsGivenBackWhileServing(t *testing.T) {
	e := openEtcd(t)
	waste(t, e, 16)
	stop := background(func(ctx context.Context) { e.tend(ctx, time.Millisecond, 8<<20) })
	defer stop()
	written := 0
	for deadline := time.Now().Add(time.Minute); e.server.Backend().Size() > 8<<20; written++ {
		if time.Now().After(deadline) {
			t.Fatal("the database stays as large as it was")
		}
		if _, err := e.client.Kubernetes.OptimisticPut(t.Context(), fmt.Sprint("w", written), []byte("x"), 0, kubernetes.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if r, err := e.client.Client.Get(t.Context(), "w", clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || r.Count != int64(written) {
		t.Errorf("%d of %d writes are there, %v", r.Count, written, err)
	}
	// What is set aside for writes to come belongs to the file that is there now.
	now, err := os.Stat(databasePath(e.dir))
	if err != nil {
		t.Fatal(err)
	}
	if held, err := e.space.database.Stat(); err != nil || !os.SameFile(now, held) {
		t.Errorf("room is reserved in a file that is gone, %v", err)
	}
}

func TestOldRevisionsAreCompacted(t *testing.T) {
	scheme := runtime.NewScheme()
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Scheme: scheme, Codecs: serializer.NewCodecFactory(scheme), CompactInterval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	put := func() int64 {
		r, err := s.Client().Put(t.Context(), "k", "v")
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Revision
	}
	first := put()
	for deadline := time.Now().Add(time.Minute); ; put() {
		_, err := s.Client().Get(t.Context(), "k", clientv3.WithRev(first))
		if errors.Is(err, rpctypes.ErrCompacted) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("revision %d is still there: %v", first, err)
		}
	}
}
