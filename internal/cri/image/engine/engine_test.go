package engine

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	push "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// serve runs a store behind its socket until the test ends.
func serve(t *testing.T) (*Client, *image.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := image.New(t.Context(), image.Config{RootDir: filepath.Join(dir, "images")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "image.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, s, socket) }()
	c := NewClient(socket)
	for range 500 {
		if c.Ping(t.Context()) == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(socket); err == nil {
			t.Error("the socket is left")
		}
	})
	return c, s, socket
}

func archive(t *testing.T, ref string) (v1.Image, []byte) {
	t.Helper()
	img, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := tarball.Write(tag, img, &buf); err != nil {
		t.Fatal(err)
	}
	return img, buf.Bytes()
}

func TestLifeOfAnImage(t *testing.T) {
	c, _, socket := serve(t)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	_, data := archive(t, "app:v1")
	got, err := c.Import(t.Context(), bytes.NewReader(data), image.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !cmp.Equal(got[0].Names, []string{"docker.io/library/app:v1"}) {
		t.Fatalf("imported %v", got)
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != got[0].ID || !cmp.Equal(list[0].RepoTags, got[0].Names) {
		t.Errorf("list %v, %v", list, err)
	}
	var exported bytes.Buffer
	if err := c.Export(t.Context(), &exported, "app:v1"); err != nil {
		t.Fatal(err)
	}
	removed, err := c.Untag(t.Context(), "app:v1")
	if err != nil || removed.ID != got[0].ID {
		t.Errorf("removed %v, %v", removed, err)
	}
	again, err := c.Import(t.Context(), &exported, image.ImportOptions{Tag: "other.example/app"})
	if err != nil || len(again) != 1 || again[0].Names[0] != "other.example/app:latest" {
		t.Errorf("imported %v, %v", again, err)
	}
}

func TestPullThroughTheSocket(t *testing.T) {
	c, _, _ := serve(t)
	files := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "pass" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	img, err := random.Image(1024, 1)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	inner := httptest.NewServer(files)
	defer inner.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(inner.URL, "http://")+"/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), host+"/app:v1", image.Credentials{}, nil); !errdefs.IsUnauthorized(err) {
		t.Errorf("without credentials: %v", err)
	}
	var steps int
	id, err := c.Pull(t.Context(), host+"/app:v1", image.Credentials{Username: "me", Password: "pass", ServerAddress: host}, func(image.Progress) { steps++ })
	if err != nil || steps == 0 {
		t.Fatalf("pulled %s in %d steps: %v", id, steps, err)
	}
	_, err = c.Pull(t.Context(), host+"/nobody:v1", image.Credentials{Username: "me", Password: "pass"}, func(image.Progress) {})
	if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "NAME_UNKNOWN") {
		t.Errorf("unknown image: %v", err)
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	c, _, _ := serve(t)
	if _, err := c.Untag(t.Context(), "nobody"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("remove: %v", err)
	}
	if err := c.Export(t.Context(), io.Discard, "nobody"); !errdefs.IsNotFound(err) {
		t.Errorf("export: %v", err)
	}
	if _, err := c.Import(t.Context(), strings.NewReader("x"), image.ImportOptions{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("import: %v", err)
	}
	if _, err := c.Pull(t.Context(), "UPPER", image.Credentials{}, nil); !errdefs.IsInvalidArgument(err) {
		t.Errorf("pull: %v", err)
	}
}

// TestDockersPaths asks as Docker's clients do: with a version, and for one image by name.
func TestDockersPaths(t *testing.T) {
	_, s, _ := serve(t)
	_, data := archive(t, "example.com/team/app:v1")
	if _, err := s.Import(t.Context(), bytes.NewReader(data), image.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	h := Handler(s)
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/_ping":                               {200, ""},
		"/v1.24/version":                       {200, `"ApiVersion"`},
		"/v1.43/images/json":                   {200, `"RepoTags":["example.com/team/app:v1"]`},
		"/images/example.com/team/app:v1/json": {200, `"Id":"sha256:`},
		"/images/example.com/team/app:v1/get":  {200, "oci-layout"},
		"/images/nobody/json":                  {404, `"message"`},
		"/containers/json":                     {404, "none of the image routes"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want.code || !strings.Contains(w.Body.String(), want.body) {
			t.Errorf("%s: %d %.200s", path, w.Code, w.Body)
		}
	}
}

func FuzzAuthHeader(f *testing.F) {
	f.Add("eyJ1c2VybmFtZSI6Im1lIn0=")
	f.Add("{}")
	f.Fuzz(func(t *testing.T, header string) {
		if _, err := parseAuth(header); err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%v is not an invalid argument", err)
		}
	})
}
