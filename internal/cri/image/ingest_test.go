package image

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTornIngestsAreDiscardedAndWholeOnesKept(t *testing.T) {
	dir := t.TempDir()
	write := func(ingest string, names ...string) {
		path := filepath.Join(dir, "ingest", ingest)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("torn")
	write("half", "ref", "startedat")
	write("whole", "ref", "startedat", "updatedat", "data")
	if err := discardTornIngests(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "ingest", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "whole" {
		t.Errorf("left %v, %v", left, err)
	}
}
