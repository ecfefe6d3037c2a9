package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func remove(t testing.TB, s *Store, ref string) {
	t.Helper()
	if _, err := s.RemoveImage(t.Context(), &runtimev1.RemoveImageRequest{Image: &runtimev1.ImageSpec{Image: ref}}); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveTakesAllNamesAndContent(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, "x"), "one", "two:v2")
	remove(t, s, "one")
	remove(t, s, "one")
	assertEmpty(t, s)
}

func TestUntagTakesOneName(t *testing.T) {
	s := newStore(t)
	id := load(t, s, small(t, "x"), "one", "two:v2")
	got, err := s.Untag(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Removed{Names: []string{"docker.io/library/one:latest"}}, got); diff != "" {
		t.Error(diff)
	}
	if got, err = s.Untag(t.Context(), "two:v2"); err != nil || got.ID != id {
		t.Errorf("the last name left %v, %v", got, err)
	}
	if _, err := s.Untag(t.Context(), "two:v2"); !errdefs.IsNotFound(err) {
		t.Errorf("an unknown name gives %v", err)
	}
	assertEmpty(t, s)
}

func TestUntagTakesTheDigestWithTheLastTag(t *testing.T) {
	s := newStore(t)
	id := load(t, s, small(t, "x"), "other:v1")
	target := s.index.byID[id].target
	digest := "r.example/team/one@" + target.Digest.String()
	if _, err := s.record(within(t.Context()), target, "r.example/team/one:1", "r.example/team/one:2", digest); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ref  string
		want []string
	}{
		{"r.example/team/one:1", []string{"r.example/team/one:1"}},
		{"r.example/team/one:2", []string{"r.example/team/one:2", digest}},
	} {
		got, err := s.Untag(t.Context(), step.ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Removed{Names: step.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.ref, diff)
		}
	}
	if got := s.List(); len(got) != 1 || len(got[0].RepoDigests) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestImageInUseStaysUntilRelease(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, "x"), "used")
	img, err := s.Rootfs(t.Context(), "used", "c1")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, s, "used")
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.List(); len(got) != 0 {
		t.Errorf("the removed image is listed: %v", got)
	}
	if _, err := os.Stat(filepath.Join(img.Lower[0], "file")); err != nil {
		t.Errorf("the layer went under a container: %v", err)
	}
	s.Release("c1")
	s.Release("c1")
	assertEmpty(t, s)
}

func TestPinsAreTakenAgainAfterARestart(t *testing.T) {
	s := newStore(t)
	id := load(t, s, small(t, "x"), "used")
	if _, err := s.Rootfs(t.Context(), "used", "c1"); err != nil {
		t.Fatal(err)
	}
	load(t, s, small(t, "y"), "unused")
	remove(t, s, "used")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// The command line, which knows no containers, removes an image that one might use.
	offline, err := New(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, offline, "unused")
	if err := errorsOf(offline.Collect(t.Context()), offline.Close()); err != nil {
		t.Fatal(err)
	}

	again, err := New(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.closeOnce)
	img, err := again.Rootfs(t.Context(), id, "c1")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := again.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(img.Lower[0], "file")); err != nil {
		t.Errorf("the layer went under a container: %v", err)
	}
	used := filepath.Base(filepath.Dir(img.Lower[0]))
	waitGone(t, filepath.Join(s.config.RootDir, "snapshots/snapshots/[^"+used+"]*"))
	again.Release("c1")
	assertEmpty(t, again)
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestPullBringsARemovedImageBack(t *testing.T) {
	s := newStore(t)
	img := small(t, "x")
	load(t, s, img, "back")
	if _, err := s.Rootfs(t.Context(), "back", "c1"); err != nil {
		t.Fatal(err)
	}
	remove(t, s, "back")
	load(t, s, img, "back")
	s.Release("c1")
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "back"); err != nil {
		t.Error(err)
	}
}

func TestStoreIsReadAgain(t *testing.T) {
	s := newStore(t)
	id := load(t, s, busybox(t), "busybox")
	before := s.List()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.config)
	if diff := cmp.Diff(before, again.List()); diff != "" {
		t.Error(diff)
	}
	for _, ref := range []string{"busybox", id, strings.TrimPrefix(id, "sha256:")[:12]} {
		if got, err := again.Get(t.Context(), ref); err != nil || got.ID != id {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
}

func TestDamagedDatabaseIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "metadata.db"), bytes.Repeat([]byte("junk"), 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), Config{RootDir: dir})
	if err == nil || !strings.Contains(err.Error(), "metadata.db") || !strings.Contains(err.Error(), "move") {
		t.Errorf("error %v", err)
	}
}

// smallDisk is a store on a disk of some megabytes.
func smallDisk(t *testing.T, size string) *Store {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return newStore(t, func(c *Config) { c.RootDir = dir })
}

func TestFullDisk(t *testing.T) {
	s := smallDisk(t, "12m")
	big := saved(t, build(t, v1.Config{}, random(t, 1, 16<<20)), "big")
	_, err := s.Import(t.Context(), bytes.NewReader(big), ImportOptions{})
	if !errdefs.IsResourceExhausted(err) {
		t.Errorf("error %v", err)
	}
	assertEmpty(t, s)
	load(t, s, small(t, "x"), "small")
}

// TestBomb has a layer that is small until it is unpacked.
func TestBomb(t *testing.T) {
	many := make([]file, 20000)
	for i := range many {
		many[i] = file{name: fmt.Sprint("file", i)}
	}
	h, s := newHub(t), smallDisk(t, "64m,nr_inodes=5000")
	h.push(t, "bomb:v1", build(t, v1.Config{}, layer(t, many...)))
	_, err := s.Pull(t.Context(), h.ref("bomb:v1"), Credentials{}, nil)
	if !errdefs.IsResourceExhausted(err) {
		t.Errorf("error %v", err)
	}
	assertEmpty(t, s)
	load(t, s, small(t, "x"), "small")
}

// TestByteBomb has one that fills the disk, to its last byte, before anybody looks at it.
func TestByteBomb(t *testing.T) {
	h := newHub(t)
	h.push(t, "bomb:v1", build(t, v1.Config{}, layer(t, file{name: "zeros", body: strings.Repeat("\x00", 96<<20)})))
	for _, size := range []string{"8m", "64m"} {
		s := smallDisk(t, size)
		if _, err := s.Pull(t.Context(), h.ref("bomb:v1"), Credentials{}, nil); !errdefs.IsResourceExhausted(err) {
			t.Errorf("disk of %s: error %v", size, err)
		}
		assertEmpty(t, s)
		load(t, s, small(t, "x"), "small")
	}
}

// TestRemoveFromAFullDisk: what is there can go, for otherwise nothing ever could.
func TestRemoveFromAFullDisk(t *testing.T) {
	s := smallDisk(t, "20m")
	load(t, s, small(t, "x"), "small")
	all, err := os.Create(filepath.Join(s.config.RootDir, "all"))
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if _, err := io.Copy(all, zeros{}); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	if _, err := s.Remove(t.Context(), "small"); err != nil {
		t.Error(err)
	}
	assertEmpty(t, s)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestNothingIsPulledOntoAFullDisk leaves the last of the disk to others.
func TestNothingIsPulledOntoAFullDisk(t *testing.T) {
	h, s := newHub(t), smallDisk(t, "20m")
	h.push(t, "any:v1", small(t, "any"))
	ballast := filepath.Join(s.config.RootDir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 19<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Pull(t.Context(), h.ref("any:v1"), Credentials{}, nil)
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "of 20 MB are free in "+s.config.RootDir) {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	pullNow(t, s, h.ref("any:v1"))
}

func TestImageWithoutItsLayersIsNotThere(t *testing.T) {
	s := newStore(t)
	img := small(t, "x")
	load(t, s, img, "hurt")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.config.RootDir, "content")); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.config)
	if got := again.List(); len(got) != 0 {
		t.Errorf("a damaged image is listed: %v", got)
	}
	load(t, again, img, "hurt")
	if _, err := again.Get(t.Context(), "hurt"); err != nil {
		t.Errorf("importing again does not mend it: %v", err)
	}
}

func TestImageFsInfo(t *testing.T) {
	s := newStore(t)
	load(t, s, busybox(t), "busybox")
	info, err := s.ImageFsInfo(t.Context(), &runtimev1.ImageFsInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if fs := info.GetImageFilesystems()[0]; fs.GetUsedBytes().GetValue() < 1<<20 || fs.GetInodesUsed().GetValue() < 3 {
		t.Errorf("usage %v", fs)
	}
}

func TestLayersOverlayCorrectly(t *testing.T) {
	s := newStore(t)
	load(t, s, build(t, v1.Config{},
		layer(t, file{name: "gone", body: "x"}, file{name: "dir/", kind: '5'}, file{name: "dir/hidden", body: "x"}, file{name: "suid", body: "x", mode: 0o4755}),
		layer(t, file{name: ".wh.gone"}, file{name: "dir/", kind: '5'}, file{name: "dir/.wh..wh..opq"}, file{name: "dir/new", body: "x"}),
	), "white")
	img, err := s.Get(t.Context(), "white")
	if err != nil {
		t.Fatal(err)
	}
	root := mountOverlay(t, img.Lower)
	for name, want := range map[string]bool{"gone": false, "dir/hidden": false, "dir/new": true, "suid": true} {
		if _, err := os.Stat(filepath.Join(root, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "suid")); err == nil && info.Mode()&os.ModeSetuid == 0 {
		t.Errorf("suid has mode %v", info.Mode())
	}
}

func TestHostileLayerStaysInside(t *testing.T) {
	s := newStore(t)
	outside := filepath.Join(t.TempDir(), "outside")
	load(t, s, build(t, v1.Config{}, layer(t,
		file{name: "link", kind: '2', link: filepath.Dir(outside)},
		file{name: "link/outside", body: "x"},
		file{name: "../../../../../../.." + outside, body: "x"},
	)), "evil")
	if _, err := os.Lstat(outside); err == nil {
		t.Error("a layer wrote outside of its directory")
	}
}

func BenchmarkOpen(b *testing.B) {
	s := newStore(b)
	for i := range 20 {
		load(b, s, small(b, string(rune('a'+i))), "image"+string(rune('a'+i)))
	}
	s.Close()
	b.ResetTimer()
	for range b.N {
		again, err := New(context.Background(), s.config)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		again.Close()
		b.StartTimer()
	}
}

func BenchmarkRootfs(b *testing.B) {
	s := newStore(b)
	load(b, s, small(b, "x"), "image")
	for b.Loop() {
		if _, err := s.Rootfs(b.Context(), "image", "c"); err != nil {
			b.Fatal(err)
		}
		s.Release("c")
	}
}
