package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func open(t *testing.T, root string) *Store[Sandbox] {
	t.Helper()
	store, err := Open[Sandbox](root, "sandboxes")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func sample() *Sandbox {
	return &Sandbox{
		Config: Proto[*runtimev1.PodSandboxConfig]{Message: &runtimev1.PodSandboxConfig{
			Metadata: &runtimev1.PodSandboxMetadata{Name: "web", Uid: "u", Namespace: "default"},
			Labels:   map[string]string{"a": "b"},
		}},
		Phase:     Ready,
		CreatedAt: 42,
		IPs:       []string{"10.0.0.2"},
	}
}

func TestRoundTrip(t *testing.T) {
	root := t.TempDir()
	store := open(t, root)
	want := sample()
	for range 3 {
		if err := store.Save("one", want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t, root).Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]*Sandbox{"one": want}, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if err := store.Delete("one"); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete("one"); err != nil {
		t.Errorf("second delete: %v", err)
	}
	if got, _ := store.Load(); len(got) != 0 {
		t.Errorf("still there: %v", got)
	}
}

func TestBrokenFilesAreKeptAndNamed(t *testing.T) {
	cases := map[string]struct{ content, says string }{
		"torn":      {`{"version":1,"id":"x","rec`, "not a state file"},
		"newer":     {`{"version":9,"id":"x","record":{}}`, "newer program"},
		"no number": {`{"id":"x","record":{}}`, "no version"},
		"other":     {`{"version":1,"id":"y","record":{}}`, `speaks of "y"`},
		"record":    {`{"version":1,"id":"x","record":{"createdAt":"soon"}}`, "record in it"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			store := open(t, root)
			if err := store.Save("good", sample()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, "sandboxes", "x.json")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := store.Load()
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not name %s and %q", err, path, c.says)
			}
			if len(got) != 1 || got["good"] == nil {
				t.Errorf("the good record is not loaded: %v", got)
			}
			kept, err := os.ReadFile(filepath.Join(root, "quarantine", "sandboxes-x.json"))
			if err != nil || string(kept) != c.content {
				t.Errorf("kept %q, %v", kept, err)
			}
		})
	}
}

func TestUnfinishedWriteIsDropped(t *testing.T) {
	root := t.TempDir()
	store := open(t, root)
	for name, content := range map[string]string{"x.json.new": `{"ver`, "y.json": ""} {
		if err := os.WriteFile(filepath.Join(root, "sandboxes", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.Load(); err != nil || len(got) != 0 {
		t.Errorf("loaded %v, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Join(root, "sandboxes")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode("x", sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"id":"x","record":{"config":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Decode(data, "x", &Sandbox{})
		_ = Decode(data, "x", &Container{})
	})
}

func BenchmarkSave(b *testing.B) {
	store, err := Open[Sandbox](b.TempDir(), "sandboxes")
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for b.Loop() {
		if err := store.Save("one", sample()); err != nil {
			b.Fatal(err)
		}
	}
}
