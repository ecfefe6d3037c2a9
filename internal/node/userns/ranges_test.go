package userns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestRanges(t *testing.T) {
	root := t.TempDir()
	dir := func(uid types.UID) string { return filepath.Join(root, string(uid)) }
	r, err := New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := func(uid types.UID, id uint32) {
		t.Helper()
		if got, err := r.Of(uid); err != nil || got != id {
			t.Errorf("%s: %d, %v; want %d", uid, got, err, id)
		}
	}
	want("a", 65536)
	want("b", 131072)
	want("a", 65536)
	content, err := os.ReadFile(filepath.Join(root, "b", "userns"))
	if err != nil || string(content) != `{"uidMappings":[{"hostId":131072,"containerId":0,"length":65536}],"gidMappings":[{"hostId":131072,"containerId":0,"length":65536}]}` {
		t.Errorf("file %s, %v", content, err)
	}

	// An agent that comes back leaves Pods what they have, and gives it to no other.
	if err := os.RemoveAll(dir("a")); err != nil {
		t.Fatal(err)
	}
	if r, err = New(dir, []types.UID{"b", "none"}); err != nil {
		t.Fatal(err)
	}
	want("c", 65536)
	want("d", 196608)
	want("b", 131072)
	r.Release("b")
	r.Release("nobody")
	want("e", 131072)

	for what, content := range map[string]string{"same": `{"uidMappings":[{"hostId":65536,"length":65536}]}`, "not one": `{"uidMappings":[{"hostId":5,"length":65536}]}`, "read": "{"} {
		if err := os.MkdirAll(dir("x"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir("x"), "userns"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := New(dir, []types.UID{"c", "x", "d"}); err == nil || !strings.Contains(err.Error(), what) || len(r.of) != 2 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
