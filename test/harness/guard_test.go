package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGuard lets the guard find out that its instance was abandoned, or that it was not.
func TestGuard(t *testing.T) {
	for name, abandoned := range map[string]bool{"abandoned": true, "closed": false} {
		t.Run(name, func(t *testing.T) {
			said := filepath.Join(t.TempDir(), "said")
			mayfly := filepath.Join(t.TempDir(), "mayfly")
			if err := os.WriteFile(mayfly, []byte("#!/bin/sh\necho \"$@\" > "+said+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			i, err := New(Tools{Mayfly: mayfly})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(i.Dir) })
			if err := i.guard(); err != nil {
				t.Fatal(err)
			}
			g := i.guardian
			if !abandoned {
				if err := i.dismiss(); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(i.Dir); err != nil {
					t.Errorf("the guard of a closed instance removed something: %v", err)
				}
				return
			}
			if err := g.input.Close(); err != nil { // as the kernel does for the dead
				t.Fatal(err)
			}
			if err := g.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(i.Dir); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", i.Dir, err)
			}
			got, err := os.ReadFile(said)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("down --purge --data-dir "+i.DataDir+" --run-dir "+i.RunDir+"\n", string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
