package image

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// hub is a registry on loopback. wrap may refuse or count requests.
type hub struct {
	host string
	mu   sync.Mutex
	wrap func(http.Handler) http.Handler
	gets atomic.Int64
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{}
	files := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			h.gets.Add(1)
		}
		h.mu.Lock()
		next := http.Handler(files)
		if h.wrap != nil {
			next = h.wrap(files)
		}
		h.mu.Unlock()
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.host = strings.TrimPrefix(server.URL, "http://")
	return h
}

func (h *hub) refuse(wrap func(http.Handler) http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrap = wrap
}

func (h *hub) ref(path string) string { return h.host + "/" + path }

func (h *hub) push(t testing.TB, path string, what remote.Taggable) {
	t.Helper()
	ref, err := name.ParseReference(h.ref(path), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pullNow(t testing.TB, s *Store, ref string) string {
	t.Helper()
	id, err := s.Pull(t.Context(), ref, Credentials{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPull(t *testing.T) {
	h, s := newHub(t), newStore(t)
	img := busybox(t)
	h.push(t, "team/busybox:v1", img)
	var steps []Progress
	id, err := s.Pull(t.Context(), h.ref("team/busybox:v1"), Credentials{}, func(p Progress) { steps = append(steps, p) })
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), h.ref("team/busybox:v1"))
	if err != nil {
		t.Fatal(err)
	}
	if id != imageID(t, img) || got.ID != id {
		t.Errorf("ID %s, %s, want %s", id, got.ID, imageID(t, img))
	}
	if diff := cmp.Diff([]string{h.ref("team/busybox@" + digest.String())}, got.RepoDigests); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(got.Lower[0], "bin/busybox")); err != nil {
		t.Error(err)
	}
	if len(steps) == 0 {
		t.Error("no progress was told")
	}
	load(t, s, small(t, "by hand"), "imported")
	pinned := map[string]bool{}
	for _, listed := range s.list("") {
		pinned[listed.GetId()] = listed.GetPinned()
	}
	if len(pinned) != 2 || pinned[id] {
		t.Errorf("what was imported, and it alone, is pinned: %v", pinned)
	}
	byDigest := newStore(t)
	if id := pullNow(t, byDigest, h.ref("team/busybox@"+digest.String())); id != got.ID {
		t.Errorf("by digest: %s", id)
	}
}

func TestPullOfAnIndexTakesThisPlatform(t *testing.T) {
	h, s := newHub(t), newStore(t)
	mine := small(t, "mine")
	h.push(t, "multi:v1", mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: small(t, "other"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: mine, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}}))
	if id := pullNow(t, s, h.ref("multi:v1")); id != imageID(t, mine) {
		t.Errorf("pulled %s", id)
	}
	if h.gets.Load() != 2 {
		t.Errorf("%d blobs were fetched, want configuration and layer of one platform", h.gets.Load())
	}
	var buf strings.Builder
	if err := s.Export(t.Context(), &buf, h.ref("multi:v1")); err != nil {
		t.Fatal(err)
	}
	other := newStore(t)
	if _, err := other.Import(t.Context(), strings.NewReader(buf.String()), ImportOptions{}); err != nil {
		t.Error(err)
	}
}

// registryError answers as the distribution specification says.
func registryError(code int, name, message string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, name, message)
		})
	}
}

func TestPullErrorsCarryTheReason(t *testing.T) {
	h := newHub(t)
	h.push(t, "here:v1", small(t, "x"))
	for name, tc := range map[string]struct {
		ref  string
		wrap func(http.Handler) http.Handler
		code codes.Code
		want []string
	}{
		"unknown tag":        {h.ref("here:v2"), nil, codes.NotFound, []string{h.ref("here:v2"), "MANIFEST_UNKNOWN", "not found"}},
		"unknown repository": {h.ref("nobody:v1"), nil, codes.NotFound, []string{"NAME_UNKNOWN"}},
		"forbidden":          {h.ref("here:v1"), registryError(http.StatusForbidden, "DENIED", "your subscription ended"), codes.PermissionDenied, []string{"DENIED: your subscription ended"}},
		"too many":           {h.ref("here:v1"), registryError(http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down"), codes.ResourceExhausted, []string{"slow down"}},
		"broken server":      {h.ref("here:v1"), registryError(http.StatusInternalServerError, "UNKNOWN", "disk on fire"), codes.Unavailable, []string{"disk on fire"}},
		"nobody there":       {"127.0.0.1:1/x:v1", nil, codes.Unavailable, []string{"127.0.0.1:1", "refused"}},
		"bad name":           {"UPPER/Case", nil, codes.InvalidArgument, []string{"UPPER/Case", "lowercase"}},
		"empty name":         {"", nil, codes.InvalidArgument, []string{"empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			h.refuse(tc.wrap)
			defer h.refuse(nil)
			_, err := s.PullImage(t.Context(), &runtimev1.PullImageRequest{Image: &runtimev1.ImageSpec{Image: tc.ref}})
			if status.Code(err) != tc.code {
				t.Errorf("code %v, want %v: %v", status.Code(err), tc.code, err)
			}
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
			assertEmpty(t, s)
		})
	}
}

// guarded asks for user and password.
func guarded(user, password string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, _ := r.BasicAuth(); u != user || p != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestPullWithCredentials(t *testing.T) {
	h := newHub(t)
	h.push(t, "private:v1", small(t, "secret"))
	h.refuse(guarded("me", "pass"))
	for name, tc := range map[string]struct {
		auth *runtimev1.AuthConfig
		code codes.Code
	}{
		"none":             {nil, codes.Unauthenticated},
		"user":             {&runtimev1.AuthConfig{Username: "me", Password: "pass"}, codes.OK},
		"auth":             {&runtimev1.AuthConfig{Auth: "bWU6cGFzcw=="}, codes.OK},
		"wrong":            {&runtimev1.AuthConfig{Username: "me", Password: "no"}, codes.Unauthenticated},
		"this registry":    {&runtimev1.AuthConfig{Username: "me", Password: "pass", ServerAddress: "http://" + h.host + "/v2/"}, codes.OK},
		"another registry": {&runtimev1.AuthConfig{Username: "me", Password: "pass", ServerAddress: "registry.example.com"}, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			_, err := s.PullImage(t.Context(), &runtimev1.PullImageRequest{Image: &runtimev1.ImageSpec{Image: h.ref("private:v1")}, Auth: tc.auth})
			if status.Code(err) != tc.code {
				t.Errorf("code %v, want %v: %v", status.Code(err), tc.code, err)
			}
		})
	}
}

func TestPullByMirror(t *testing.T) {
	h := newHub(t)
	img := small(t, "mirrored")
	h.push(t, "library/thing:v1", img)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docker.io"), 0o755); err != nil {
		t.Fatal(err)
	}
	hosts := fmt.Sprintf("server = \"http://127.0.0.1:1\"\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", h.host)
	if err := os.WriteFile(filepath.Join(dir, "docker.io/hosts.toml"), []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, func(c *Config) { c.RegistryConfigDir = dir })
	if id := pullNow(t, s, "thing:v1"); id != imageID(t, img) {
		t.Errorf("pulled %s", id)
	}
	if _, err := s.Get(t.Context(), "docker.io/library/thing:v1"); err != nil {
		t.Error(err)
	}
}

// TestRegistriesAreConfigured reaches registries as their hosts.toml says.
func TestRegistriesAreConfigured(t *testing.T) {
	img := small(t, "configured")
	h := newHub(t)
	h.push(t, "library/thing:v1", img)
	h.refuse(func(next http.Handler) http.Handler {
		inner := guarded("me", "pass")(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v2/prefixed/") {
				http.StripPrefix("/v2/prefixed", next).ServeHTTP(w, r)
				return
			}
			inner.ServeHTTP(w, r)
		})
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", h.host, ""
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	}))
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	const nowhere = "server = \"http://127.0.0.1:1\"\n"
	const login = "  [host.%q.header]\n    Authorization = \"Basic bWU6cGFzcw==\"\n" // me:pass
	for name, tc := range map[string]struct{ config, want string }{
		"plain HTTP, with a login":     {nowhere + fmt.Sprintf("[host.%q]\n"+login, "http://"+h.host, "http://"+h.host), ""},
		"without a login":              {fmt.Sprintf("server = %q\n", "http://"+h.host), "authentication required"},
		"a certificate authority":      {nowhere + fmt.Sprintf("[host.%q]\n  ca = %q\n"+login, secure.URL, ca, secure.URL), ""},
		"no certificate authority":     {fmt.Sprintf("server = %q\n", secure.URL), "certificate"},
		"certificates not looked at":   {nowhere + fmt.Sprintf("[host.%q]\n  skip_verify = true\n"+login, secure.URL, secure.URL), ""},
		"a mirror that is down, first": {nowhere + fmt.Sprintf("[host.\"http://127.0.0.1:1\"]\n[host.%q]\n"+login, "http://"+h.host, "http://"+h.host), ""},
		"a mirror below a path":        {nowhere + fmt.Sprintf("[host.%q]\n  override_path = true\n", "http://"+h.host+"/v2/prefixed/v2"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "r.example"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "r.example/hosts.toml"), []byte(tc.config), 0o600); err != nil {
				t.Fatal(err)
			}
			s := newStore(t, func(c *Config) { c.RegistryConfigDir = dir })
			id, err := s.Pull(t.Context(), "r.example/library/thing:v1", Credentials{}, nil)
			if tc.want == "" && (err != nil || id != imageID(t, img)) {
				t.Errorf("pulled %s, %v", id, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v does not say %s", err, tc.want)
			}
		})
	}
}

func TestPullIsTriedAgain(t *testing.T) {
	h, s := newHub(t), newStore(t)
	h.push(t, "flaky:v1", small(t, "x"))
	var failures atomic.Int64
	h.refuse(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") && failures.Add(1) <= 2 {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	pullNow(t, s, h.ref("flaky:v1"))
}

func TestConcurrentPullsFetchOnce(t *testing.T) {
	h, s := newHub(t), newStore(t)
	h.push(t, "wanted:v1", build(t, v1.Config{}, random(t, 1, 1<<20), random(t, 2, 1<<20)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.Pull(t.Context(), h.ref("wanted:v1"), Credentials{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.gets.Load(); n != 3 {
		t.Errorf("%d blobs were fetched, want 3", n)
	}
}

func TestCancelledPullLeavesNothing(t *testing.T) {
	h, s := newHub(t), newStore(t)
	h.push(t, "slow:v1", small(t, "x"))
	ctx, cancel := context.WithCancel(t.Context())
	h.refuse(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				cancel()
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if _, err := s.Pull(ctx, h.ref("slow:v1"), Credentials{}, nil); err == nil {
		t.Fatal("a cancelled pull succeeded")
	}
	assertEmpty(t, s)
}

func TestHostileManifests(t *testing.T) {
	layers := make([]map[string]any, 300)
	for i := range layers {
		layers[i] = map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": fmt.Sprintf("sha256:%064x", i), "size": 1}
	}
	descriptor := func(mediaType string, size int64) map[string]any {
		return map[string]any{"mediaType": mediaType, "digest": fmt.Sprintf("sha256:%064x", 1), "size": size}
	}
	config := "application/vnd.oci.image.config.v1+json"
	for name, tc := range map[string]struct {
		manifest map[string]any
		want     string
	}{
		"many layers":   {map[string]any{"config": descriptor(config, 2), "layers": layers}, "more than the 257"},
		"huge config":   {map[string]any{"config": descriptor(config, 1<<40)}, "more than the 4194304"},
		"negative size": {map[string]any{"config": descriptor(config, -1)}, "negative size"},
		"bad digest":    {map[string]any{"config": map[string]any{"mediaType": config, "digest": "sha256:../../etc/passwd", "size": 1}}, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.manifest["schemaVersion"] = 2
			tc.manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
			body, err := json.Marshal(tc.manifest)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				w.Write(body)
			}))
			defer server.Close()
			s := newStore(t)
			_, err = s.Pull(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/evil:v1", Credentials{}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			assertEmpty(t, s)
		})
	}
}

// TestCompressions has layers of each form in one image.
func TestCompressions(t *testing.T) {
	h, s := newHub(t), newStore(t)
	form := func(name string, kind compression.Compression, mediaType types.MediaType) v1.Layer {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return layer(t, file{name: name, body: name}).Uncompressed() },
			tarball.WithCompression(kind), tarball.WithMediaType(mediaType))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, err := layer(t, file{name: "plain", body: "plain"}).Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	h.push(t, "forms:v1", build(t, v1.Config{},
		form("gzip", compression.GZip, types.OCILayer), form("docker", compression.GZip, types.DockerLayer),
		form("zstd", compression.ZStd, types.OCILayerZStd), static.NewLayer(body, types.OCIUncompressedLayer)))
	pullNow(t, s, h.ref("forms:v1"))
	img, err := s.Get(t.Context(), h.ref("forms:v1"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"plain", "zstd", "docker", "gzip"} {
		if got, err := os.ReadFile(filepath.Join(img.Lower[i], name)); err != nil || string(got) != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestTagMovesToANewImage(t *testing.T) {
	h, s := newHub(t), newStore(t)
	h.push(t, "moving:v1", small(t, "old"))
	old := pullNow(t, s, h.ref("moving:v1"))
	h.push(t, "moving:v1", small(t, "new"))
	fresh := pullNow(t, s, h.ref("moving:v1"))
	if got, err := s.Get(t.Context(), h.ref("moving:v1")); err != nil || got.ID != fresh || fresh == old {
		t.Errorf("the tag stands for %s, want %s: %v", got.ID, fresh, err)
	}
	if _, err := s.Get(t.Context(), old); err != nil {
		t.Errorf("the old image is gone: %v", err)
	}
	if _, err := s.Get(t.Context(), "other"); !errdefs.IsNotFound(err) {
		t.Errorf("unknown image: %v", err)
	}
}

func BenchmarkPull100MB(b *testing.B) {
	h := newHub(b)
	h.push(b, "big:v1", build(b, v1.Config{}, random(b, 1, 25<<20), random(b, 2, 25<<20), random(b, 3, 25<<20), random(b, 4, 25<<20)))
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		s := newStore(b)
		b.StartTimer()
		pullNow(b, s, h.ref("big:v1"))
		b.StopTimer()
		s.closeOnce()
		os.RemoveAll(s.config.RootDir)
		b.StartTimer()
	}
}
