package kubectl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/cli/kubectl/language"
	"github.com/mayfly-run/mayfly/internal/config"
)

func TestTranslationsAreNotLoadedAtStart(t *testing.T) {
	if language.Err != nil {
		t.Errorf("package language was initialized after kubectl: %v", language.Err)
	}
}

func TestPoint(t *testing.T) {
	for name, test := range map[string]struct {
		args     []string
		env      string
		instance bool
		found    bool
		fails    bool
	}{
		"finds the instance":     {args: []string{"get", "pods"}, instance: true, found: true},
		"no instance":            {args: []string{"get", "pods"}, fails: true},
		"--kubeconfig wins":      {args: []string{"get", "--kubeconfig=/x"}, instance: true},
		"--kubeconfig in two":    {args: []string{"get", "--kubeconfig", "/x"}, instance: true},
		"$KUBECONFIG wins":       {args: []string{"get"}, env: "/x", instance: true},
		"--server wins":          {args: []string{"get", "--server=https://x"}, instance: true},
		"-s wins":                {args: []string{"-s", "https://x", "get"}, instance: true},
		"glued -s wins":          {args: []string{"-shttps://x", "get"}, instance: true},
		"not kubectl's own flag": {args: []string{"exec", "p", "--", "x", "--kubeconfig=/x"}, instance: true, found: true},
		"completion needs none":  {args: []string{"completion", "bash"}},
		"help needs none":        {args: []string{"get", "-h"}},
		"nothing needs none":     {},
		"client version":         {args: []string{"version", "--client"}},
		"server version":         {args: []string{"version"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(config.DataDirEnv, dir)
			t.Setenv(kubeconfigEnv, test.env)
			file := filepath.Join(dir, "admin.kubeconfig")
			if test.instance {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o := options{}
			found, err := o.point(test.args)
			if test.fails != (err != nil) {
				t.Fatalf("err = %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "mayfly up") {
				t.Errorf("error names no remedy: %v", err)
			}
			want, wantEnv := "", test.env
			if test.found {
				want, wantEnv = file, file
			}
			if found != want || os.Getenv(kubeconfigEnv) != wantEnv {
				t.Errorf("found %q, $KUBECONFIG %q, want %q, %q", found, os.Getenv(kubeconfigEnv), want, wantEnv)
			}
		})
	}
}

func TestFollowsTheInstanceRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(config.DataDirEnv, dir)
	t.Setenv(kubeconfigEnv, "")
	i := config.Default()
	i.Kubeconfig = filepath.Join(dir, "elsewhere")
	if err := os.WriteFile(i.Kubeconfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := i.Save(); err != nil {
		t.Fatal(err)
	}
	got, err := instanceKubeconfig()
	if err != nil || got != i.Kubeconfig {
		t.Errorf("instanceKubeconfig = %q, %v", got, err)
	}
}

func TestRunsTheRealKubectl(t *testing.T) {
	t.Setenv(config.DataDirEnv, t.TempDir())
	t.Setenv(kubeconfigEnv, "")
	var out, errOut bytes.Buffer
	cmd := New(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	cmd.SetArgs([]string{"version", "--client", "--output=json"})
	if err := cmd.Execute(); err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	if !strings.Contains(out.String(), `"clientVersion"`) {
		t.Errorf("out = %s", out.String())
	}
}

func TestCompletes(t *testing.T) {
	t.Setenv(config.DataDirEnv, t.TempDir())
	t.Setenv(kubeconfigEnv, "")
	o := options{}
	got, directive := o.complete(t.Context(), nil, "rollou")
	if directive&cobra.ShellCompDirectiveError != 0 || len(got) != 1 || !strings.HasPrefix(got[0], "rollout") {
		t.Errorf("complete = %q, %v", got, directive)
	}
}

func TestParseCompletions(t *testing.T) {
	got, directive := parseCompletions("a\tx\nb\n:4\n")
	if diff := cmp.Diff([]string{"a\tx", "b"}, got); diff != "" || directive != cobra.ShellCompDirectiveNoFileComp {
		t.Errorf("directive %v, %s", directive, diff)
	}
	if _, directive := parseCompletions("garbage"); directive != cobra.ShellCompDirectiveError {
		t.Errorf("garbage gives %v", directive)
	}
}

func TestExplain(t *testing.T) {
	refused := "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
	if got := explain(refused, "/x"); !strings.HasSuffix(got, "Start it with: mayfly up\n") {
		t.Errorf("explain = %q", got)
	}
	if got := explain(refused, ""); got != refused+"\n" {
		t.Errorf("explain = %q", got)
	}
}
