package image

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestImportDockerArchive(t *testing.T) {
	s := newStore(t)
	img := busybox(t)
	id := load(t, s, img, "busybox", "example.com/tools:v1")
	if want := imageID(t, img); id != want {
		t.Errorf("ID %s, want %s", id, want)
	}
	resp, err := s.ImageStatus(t.Context(), &runtimev1.ImageStatusRequest{Image: &runtimev1.ImageSpec{Image: "busybox"}, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	got := resp.GetImage()
	if diff := cmp.Diff([]string{"docker.io/library/busybox:latest", "example.com/tools:v1"}, got.GetRepoTags()); diff != "" {
		t.Error(diff)
	}
	if got.GetUid().GetValue() != 1000 || got.GetSize() == 0 || !strings.Contains(resp.GetInfo()["info"], `"chainID":"sha256:`) {
		t.Errorf("status %v %v", got, resp.GetInfo())
	}
}

func TestRootfsHasTheFiles(t *testing.T) {
	s := newStore(t)
	load(t, s, busybox(t), "busybox")
	img, err := s.Rootfs(t.Context(), "busybox:latest", "c1")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Lower) != 1 || img.Config.Cmd[0] != "sh" {
		t.Errorf("image %+v", img)
	}
	if _, err := os.Stat(filepath.Join(img.Lower[0], "bin/busybox")); err != nil {
		t.Error(err)
	}
}

func TestLowerIsTopFirst(t *testing.T) {
	s := newStore(t)
	load(t, s, build(t, v1.Config{}, layer(t, file{name: "below"}), layer(t, file{name: "above"})), "two")
	img, err := s.Get(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"above", "below"} {
		if _, err := os.Stat(filepath.Join(img.Lower[i], name)); err != nil {
			t.Errorf("layer %d: %v", i, err)
		}
	}
}

func TestImageWithoutLayersHasALowerDirectory(t *testing.T) {
	s := newStore(t)
	load(t, s, build(t, v1.Config{Cmd: []string{"/x"}}), "scratch-like")
	img, err := s.Get(t.Context(), "scratch-like")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Lower) != 1 || img.Lower[0] != img.Empty {
		t.Fatalf("lower %v, want the empty directory %s", img.Lower, img.Empty)
	}
	if entries, err := os.ReadDir(img.Empty); err != nil || len(entries) != 0 {
		t.Errorf("empty layer holds %v, %v", entries, err)
	}
}

func TestImportFormats(t *testing.T) {
	img := small(t, "formats")
	plain := saved(t, img, "formats:v1")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, load := range map[string]func(*Store) ([]Imported, error){
		"tar": func(s *Store) ([]Imported, error) {
			return s.Import(t.Context(), bytes.NewReader(plain), ImportOptions{})
		},
		"tar.gz": func(s *Store) ([]Imported, error) { return s.Import(t.Context(), &zipped, ImportOptions{}) },
		"layout directory": func(s *Store) ([]Imported, error) {
			return s.ImportDir(t.Context(), ociLayout(t, img, "formats:v1"), ImportOptions{})
		},
		"tag by hand": func(s *Store) ([]Imported, error) {
			return s.ImportDir(t.Context(), ociLayout(t, img, "latest"), ImportOptions{Tag: "formats:v1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			got, err := load(s)
			if err != nil {
				t.Fatal(err)
			}
			want := []Imported{{ID: imageID(t, img), Names: []string{"docker.io/library/formats:v1"}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if _, err := s.Get(t.Context(), "formats:v1"); err != nil {
				t.Error(err)
			}
		})
	}
}

func ociLayout(t testing.TB, img v1.Image, ref string) string {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref})); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportTakesThisPlatformAlone(t *testing.T) {
	s := newStore(t)
	mine, other := small(t, "mine"), small(t, "other")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: mine, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	dir := t.TempDir()
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	got, err := s.ImportDir(t.Context(), dir, ImportOptions{Tag: "multi"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ID != imageID(t, mine) {
		t.Errorf("imported %v", got)
	}
}

func TestImportOfAnotherPlatformSaysSo(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: small(t, "x"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}})
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	_, err := s.ImportDir(t.Context(), dir, ImportOptions{})
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "this machine is linux/") {
		t.Errorf("error %v", err)
	}
}

func TestBrokenArchives(t *testing.T) {
	img := small(t, strings.Repeat("some bytes ", 1000))
	whole := saved(t, img, "broken:v1")
	missing := ociLayout(t, img, "broken:v1")
	damagedLayer := ociLayout(t, img, "broken:v1")
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(missing, "blobs/sha256", digest.Hex)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damagedLayer, "blobs/sha256", digest.Hex), []byte("not the layer"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		load func(*Store) ([]Imported, error)
		want string
	}{
		"truncated":     {func(s *Store) ([]Imported, error) { return importBytes(t, s, whole[:700]) }, "ends too early"},
		"no tar":        {func(s *Store) ([]Imported, error) { return importBytes(t, s, bytes.Repeat([]byte("x"), 4096)) }, "no tar file"},
		"empty":         {func(s *Store) ([]Imported, error) { return importBytes(t, s, nil) }, "holds no image"},
		"missing layer": {func(s *Store) ([]Imported, error) { return s.ImportDir(t.Context(), missing, ImportOptions{}) }, "layer " + digest.String() + " is missing"},
		"damaged layer": {func(s *Store) ([]Imported, error) { return s.ImportDir(t.Context(), damagedLayer, ImportOptions{}) }, "layer " + digest.String()},
		"no directory":  {func(s *Store) ([]Imported, error) { return s.ImportDir(t.Context(), "/nowhere", ImportOptions{}) }, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			_, err := tc.load(s)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%v is not an invalid argument", err)
			}
			assertEmpty(t, s)
		})
	}
}

func importBytes(t testing.TB, s *Store, data []byte) ([]Imported, error) {
	return s.Import(t.Context(), bytes.NewReader(data), ImportOptions{})
}

// assertEmpty fails when anything of an image is left on disk.
func assertEmpty(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"content/blobs/sha256/*", "content/ingest/*", "snapshots/snapshots/*"} {
		waitGone(t, filepath.Join(s.config.RootDir, pattern))
	}
	if got := s.list(""); len(got) != 0 {
		t.Errorf("images left: %v", got)
	}
}

// waitGone waits for the collector, which deletes files beside the database's transaction.
func waitGone(t *testing.T, pattern string) {
	t.Helper()
	var left []string
	for range 1000 {
		left, _ = filepath.Glob(pattern)
		if len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("left behind: %v", left)
}

func TestExportRoundTrip(t *testing.T) {
	s := newStore(t)
	id := load(t, s, busybox(t), "busybox:v1")
	var buf bytes.Buffer
	if err := s.Export(t.Context(), &buf, "busybox:v1"); err != nil {
		t.Fatal(err)
	}
	other := newStore(t)
	got, err := other.Import(t.Context(), &buf, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Imported{{ID: id, Names: []string{"docker.io/library/busybox:v1"}}}, got); diff != "" {
		t.Error(diff)
	}
	if err := s.Export(t.Context(), &buf, "nothing"); !errdefs.IsNotFound(err) {
		t.Errorf("export of an unknown image: %v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	s := newStore(t)
	_, err := New(t.Context(), Config{RootDir: s.config.RootDir, LockWait: 1})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
}
