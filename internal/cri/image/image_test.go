package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// newStore opens a store in a directory of its own, settled as after a start.
func newStore(t testing.TB, change ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{RootDir: filepath.Join(t.TempDir(), "images")}
	for _, c := range change {
		c(&cfg)
	}
	return reopen(t, cfg)
}

func reopen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.closeOnce)
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// closeOnce closes a store that a test may have closed already.
func (s *Store) closeOnce() {
	if s.closers != nil {
		s.Close()
	}
}

// file is a file of a test's layer.
type file struct {
	name, body, link string
	mode             int64
	kind             byte
}

func layer(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if f.kind == 0 {
			f.kind = tar.TypeReg
		}
		if f.mode == 0 {
			f.mode = 0o755
		}
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: f.mode, Size: int64(len(f.body)), Linkname: f.link}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// build puts layers, the lowest first, on top of nothing.
func build(t testing.TB, config v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

// busybox is an image of the machine's own busybox, with a shell.
func busybox(t testing.TB) v1.Image {
	t.Helper()
	body, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	files := []file{{name: "bin/", kind: tar.TypeDir}, {name: "bin/busybox", body: string(body)}, {name: "bin/sh", kind: tar.TypeSymlink, link: "busybox"}}
	return build(t, v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}, User: "1000:1000"}, layer(t, files...))
}

// small is an image of one file, different for every body.
func small(t testing.TB, body string) v1.Image {
	t.Helper()
	return build(t, v1.Config{Cmd: []string{"/file"}}, layer(t, file{name: "file", body: body}))
}

// saved is a docker-archive of img.
func saved(t testing.TB, img v1.Image, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	m := map[name.Tag]v1.Image{}
	for _, n := range names {
		m[tag(t, n)] = img
	}
	if err := tarball.MultiWrite(m, &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func load(t testing.TB, s *Store, img v1.Image, names ...string) string {
	t.Helper()
	got, err := s.Import(t.Context(), bytes.NewReader(saved(t, img, names...)), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("imported %v, want one image", got)
	}
	return got[0].ID
}

func imageID(t testing.TB, img v1.Image) string {
	t.Helper()
	h, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// random is a layer of n bytes that do not compress.
func random(t testing.TB, seed, n int) v1.Layer {
	t.Helper()
	body := make([]byte, n)
	x := uint64(seed)*2654435761 + 1
	for i := range body {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		body[i] = byte(x)
	}
	return layer(t, file{name: fmt.Sprintf("data%d", seed), body: string(body)})
}

func tag(t testing.TB, ref string) name.Tag {
	t.Helper()
	n, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
