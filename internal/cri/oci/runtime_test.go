package oci_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mayfly-run/mayfly/internal/cri/oci"
)

// TestDelete: a runtime that fails to delete what is gone by then, as when the command that ran the container was quicker,
// has done what was asked; one that leaves it has not.
func TestDelete(t *testing.T) {
	for name, test := range map[string]struct {
		remembers bool
		script    string
		fails     bool
	}{
		"never known":  {script: "exit 1"},
		"forgotten":    {remembers: true, script: `rm -r "$2/$5"`},
		"was quicker":  {remembers: true, script: `rm -r "$2/$5"; exit 1`},
		"still there":  {remembers: true, script: "exit 1", fails: true},
		"other is hit": {remembers: true, script: `rm -rf "$2/other"; exit 1`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			runtime, root := filepath.Join(dir, "runtime"), filepath.Join(dir, "root")
			script := "#!/bin/sh\n[ \"$3\" = delete ] || exit 0\n" + test.script + "\n"
			if err := os.WriteFile(runtime, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			r, err := oci.Open(t.Context(), runtime, root, "/none")
			if err != nil {
				t.Fatal(err)
			}
			if test.remembers {
				if err := os.Mkdir(filepath.Join(root, "id"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Delete(t.Context(), "id", "/other"); (err != nil) != test.fails {
				t.Errorf("Delete = %v", err)
			}
		})
	}
}
