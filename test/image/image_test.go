package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// program is a stand-in for the test program: these tests look at images, and run nothing.
func program(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(file, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func names(t *testing.T, image v1.Image) map[string]bool {
	files := mutate.Extract(image)
	defer files.Close()
	found := map[string]bool{}
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[path.Clean(header.Name)] = true
	}
}

func TestAppHasNoShell(t *testing.T) {
	app, err := App(program(t))
	if err != nil {
		t.Fatal(err)
	}
	found := names(t, app)
	for _, shell := range []string{"bin", "bin/sh", "bin/busybox", "bin/bash", "usr/bin/sh"} {
		if found[shell] {
			t.Errorf("the image has /%s", shell)
		}
	}
	if !found["app"] {
		t.Error("the image has no /app")
	}
}

func TestArchivesAreReproducible(t *testing.T) {
	file := program(t)
	first, err := Crasher(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "crasher.tar")
	if err := Save(archive, map[string]v1.Image{CrasherName: first}); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(CrasherName)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(archive, &tag)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Crasher(file)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := second.Digest()
	if got, err := first.Digest(); err != nil || got != want {
		t.Errorf("digest %s, then %s: %v", got, want, err)
	}
	configRead, _ := read.ConfigName()
	configWant, _ := second.ConfigName()
	if configRead != configWant {
		t.Errorf("configuration %s read, %s written", configRead, configWant)
	}
}
