package image

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/image/engine"
)

// machine is a data directory in which a Mayfly was up.
func machine(t *testing.T) config.Instance {
	t.Helper()
	i := config.Default()
	i.DataDir, i.RunDir = t.TempDir(), t.TempDir()
	if err := i.Save(); err != nil {
		t.Fatal(err)
	}
	return i
}

// up serves the instance's images as `mayfly up` does.
func up(t *testing.T, i config.Instance) {
	t.Helper()
	s, err := image.New(t.Context(), image.Config{RootDir: image.Root(filepath.Join(i.DataDir, "runtime"))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Serve(ctx, s, i.ImageSocket()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	})
	for range 500 {
		if _, err := os.Stat(i.ImageSocket()); err == nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("the socket does not come up")
}

func run(t *testing.T, i config.Instance, in []byte, args ...string) (string, error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := New(genericiooptions.IOStreams{In: bytes.NewReader(in), Out: &out, ErrOut: &errOut})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "--data-dir", i.DataDir))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func archive(t *testing.T, ref string) (path string, data []byte) {
	t.Helper()
	img, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "a.tar")
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestVerbs(t *testing.T) {
	for name, start := range map[string]func(*testing.T, config.Instance){"running": up, "stopped": func(*testing.T, config.Instance) {}} {
		t.Run(name, func(t *testing.T) {
			i := machine(t)
			start(t, i)
			file, data := archive(t, "app:v1")
			exported := filepath.Join(t.TempDir(), "out.tar")
			for _, step := range []struct {
				in   []byte
				args []string
				want string
			}{
				{nil, []string{"import", file}, "Imported docker.io/library/app:v1\n"},
				{data, []string{"import", "-", "--tag", "again:v2"}, "Imported docker.io/library/again:v2\n"},
				{nil, []string{"list"}, "docker.io/library/app:v1"},
				{nil, []string{"ls", "-q"}, "sha256:"},
				{nil, []string{"export", "app:v1", "-o", exported}, ""},
				{nil, []string{"remove", "app:v1"}, "Untagged docker.io/library/app:v1\n"},
				{nil, []string{"rm", "again:v2"}, "Removed sha256:"},
				{nil, []string{"import", exported}, "Imported docker.io/library/app:v1\n"},
			} {
				out, err := run(t, i, step.in, step.args...)
				if err != nil || !strings.Contains(out, step.want) {
					t.Errorf("%v: %q, %v", step.args, out, err)
				}
			}
			out, err := run(t, i, nil, "list", "-o", "json")
			var list []image.Summary
			if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 1 {
				t.Fatalf("list: %s, %v", out, err)
			}
			if diff := cmp.Diff([]string{"docker.io/library/app:v1"}, list[0].RepoTags); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	i := machine(t)
	never := config.Instance{DataDir: t.TempDir()}
	bad := filepath.Join(t.TempDir(), "bad.tar")
	if err := os.WriteFile(bad, []byte("This is no archive.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		instance config.Instance
		args     []string
		want     []string
	}{
		"no file":     {i, []string{"import", "/nowhere.tar"}, []string{"/nowhere.tar", "no such file"}},
		"no archive":  {i, []string{"import", bad}, []string{bad, "archive"}},
		"unknown":     {i, []string{"remove", "mayfly.test/nobody:1"}, []string{"mayfly.test/nobody:1", "not found"}},
		"never up":    {never, []string{"list"}, []string{"mayfly up", never.DataDir}},
		"bad name":    {i, []string{"pull", "UPPER"}, []string{"UPPER"}},
		"unreachable": {i, []string{"pull", "127.0.0.1:1/x"}, []string{"127.0.0.1:1/x:latest", "refused"}},
		"bad format":  {i, []string{"list", "-o", "xml"}, []string{"xml", "json"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, tc.instance, nil, tc.args...)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
		})
	}
}

func TestCredentialsOfTheDockerConfiguration(t *testing.T) {
	dir := t.TempDir()
	before := dockerconfig.Dir()
	dockerconfig.SetDir(dir)
	t.Cleanup(func() { dockerconfig.SetDir(before) })
	helper := "#!/bin/sh\nread host\n" + `echo '{"ServerURL":"'$host'","Username":"helped","Secret":"by '$host'"}'` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-mayfly"), []byte(helper), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	conf := `{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnB3"},"127.0.0.1:5000":{"auth":"bWU6cGFzcw=="}},"credHelpers":{"helped.example":"mayfly"}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &options{streams: genericiooptions.NewTestIOStreamsDiscard()}
	for ref, want := range map[string]image.Credentials{
		"docker.io/library/busybox:latest": {Username: "hub", Password: "pw", ServerAddress: "docker.io"},
		"127.0.0.1:5000/app:v1":            {Username: "me", Password: "pass", ServerAddress: "127.0.0.1:5000"},
		"helped.example/app:v1":            {Username: "helped", Password: "by helped.example", ServerAddress: "helped.example"},
		"other.example/app:v1":             {ServerAddress: "other.example"},
	} {
		got, err := o.credentials(ref)
		got.Auth = ""
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
}

func TestDisplay(t *testing.T) {
	var out bytes.Buffer
	show := newDisplay(&out)
	for _, p := range []image.Progress{{Status: "resolving"}, {ID: "aaa", Status: "downloading", Current: 1500, Total: 3000000}, {ID: "aaa", Status: "downloading", Current: 2000}, {ID: "aaa", Status: "complete"}} {
		show.step(p)
	}
	show.end()
	if diff := cmp.Diff("resolving\naaa: downloading 1.5kB/3MB\naaa: complete\n", out.String()); diff != "" {
		t.Error(diff)
	}
	if got := line(image.Progress{ID: "a", Status: "x", Current: 5, Total: 10}, 4); got != "a: x [==  ] 5B/10B" {
		t.Errorf("line %q", got)
	}
}
