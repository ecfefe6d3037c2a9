package storage

import (
	"bytes"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestUnusedSpaceIsGivenBack(t *testing.T) {
	e, err := OpenEtcd(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	var revision int64
	for range 16 {
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
