package image

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// refName is the annotation that names an image in an OCI layout, image-spec annotations.md.
const refName = "org.opencontainers.image.ref.name"

// Save writes images, by name, to one archive as docker save does.
func Save(file string, images map[string]v1.Image) error {
	tags := make(map[name.Tag]v1.Image, len(images))
	for n, image := range images {
		tag, err := name.NewTag(n)
		if err != nil {
			return fmt.Errorf("image name %q: %w", n, err)
		}
		tags[tag] = image
	}
	if err := tarball.MultiWriteToFile(file, tags); err != nil {
		return fmt.Errorf("save %s: %w", file, err)
	}
	return nil
}

// SaveLayout writes images, by name, to a directory as an OCI image layout.
func SaveLayout(dir string, images map[string]v1.Image) error {
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout %s: %w", dir, err)
	}
	for n, image := range images {
		if err := l.AppendImage(image, layout.WithAnnotations(map[string]string{refName: n})); err != nil {
			return fmt.Errorf("write %s to layout %s: %w", n, dir, err)
		}
	}
	return nil
}

// Pack writes the files of a directory to a tar archive, as `tar -C dir -c .` does.
func Pack(file, dir string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = w.AddFS(os.DirFS(dir))
	if closing := w.Close(); err == nil {
		err = closing
	}
	if closing := out.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", dir, err)
	}
	return nil
}

// Programs are the files that images are built from.
type Programs struct {
	// Busybox is a static busybox, App the built test/program/app.
	Busybox, App string
}

// Archives are the saved images of a test.
type Archives struct {
	// Busybox and Crasher are Docker archives; App is a tar of an OCI layout, and AppLayout the same as a directory.
	Busybox, Crasher, App, AppLayout string
}

// All returns the archives that make up a set, each once.
func (a Archives) All() []string { return []string{a.Busybox, a.Crasher, a.App} }

// SaveAll builds every image and saves it below dir.
func SaveAll(dir string, p Programs) (Archives, error) {
	a := Archives{
		Busybox: filepath.Join(dir, "busybox.tar"), Crasher: filepath.Join(dir, "crasher.tar"),
		App: filepath.Join(dir, "app-oci.tar"), AppLayout: filepath.Join(dir, "app-oci"),
	}
	busybox, err := Busybox(p)
	if err != nil {
		return a, err
	}
	app, err := App(p.App)
	if err != nil {
		return a, err
	}
	crasher, err := Crasher(p.App)
	if err != nil {
		return a, err
	}
	if err := Save(a.Busybox, map[string]v1.Image{BusyboxName: busybox}); err != nil {
		return a, err
	}
	if err := Save(a.Crasher, map[string]v1.Image{CrasherName: crasher}); err != nil {
		return a, err
	}
	if err := os.RemoveAll(a.AppLayout); err != nil {
		return a, err
	}
	if err := SaveLayout(a.AppLayout, map[string]v1.Image{AppName: app}); err != nil {
		return a, err
	}
	return a, Pack(a.App, a.AppLayout)
}
