// Package script holds the stories of Mayfly, one a feature, told to the built binary the way a person would type
// them: testdata/script/*.txtar. Each has a throw-away Mayfly of its own. The commands that stories use beside those of
// testscript are in command_test.go; `go test ./test/script -run 'Test/^name$'` tells one story.
package script

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mayfly-run/mayfly/internal/node/security"
	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/image"
)

func Test(t *testing.T) {
	tools, err := harness.Find()
	if err != nil {
		t.Fatal(err)
	}
	archives, err := image.SaveAll(t.TempDir(), tools.Programs())
	if err != nil {
		t.Fatal(err)
	}
	bin := commandDirectory(t, tools)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                commands(),
		Condition: func(name string) (bool, error) {
			if name != "selinux" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return security.HasSELinux(), nil
		},
		Setup: func(env *testscript.Env) error {
			s, err := newStory(tools, archives)
			if err != nil {
				return err
			}
			env.Values[storyKey{}] = s
			env.Defer(func() { s.close(env.T()) })
			s.setenv(env, bin)
			return nil
		},
	})
}

// commandDirectory is what stories have first in their PATH: mayfly, the stock kubectls, and kubectl as `mayfly kubectl`.
func commandDirectory(t *testing.T, tools harness.Tools) string {
	dir := t.TempDir()
	for name, program := range map[string]string{
		"mayfly": tools.Mayfly, "kubectl-1.32": tools.Kubectl132, "kubectl-1.20": tools.Kubectl120,
		"app": tools.App,
	} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s kubectl \"$@\"\n", tools.Mayfly)
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
