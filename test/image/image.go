// Package image builds the container images of the tests, the demo and the benchmarks from programs on this machine,
// since no registry can be reached: Busybox, an application without any shell, and one that crashes. Each comes as a
// go-containerregistry image, to be saved as an archive (Save, SaveLayout) or pushed to a registry.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Names of the images as Pods ask for them.
const (
	BusyboxName = "busybox:latest"
	AppName     = "mayfly.test/app:1.0"
	CrasherName = "mayfly.test/crasher:1.0"
)

// searchPath is the PATH that images conventionally set.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group  = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"
)

// Busybox is docker.io/library/busybox as far as a Pod can tell: the applets of a static busybox program, each a name
// in /bin, sh as the command, no entry point. The test program is /bin/app.
func Busybox(p Programs) (v1.Image, error) {
	binary, err := os.ReadFile(p.Busybox)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	app, err := os.ReadFile(p.App)
	if err != nil {
		return nil, fmt.Errorf("read test program: %w", err)
	}
	list, err := exec.Command(p.Busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list applets of %s: %w", p.Busybox, err)
	}
	files := []entry{
		directory("bin", 0o755), directory("dev", 0o755), directory("etc", 0o755), directory("home", 0o755),
		directory("root", 0o700), directory("tmp", 0o1777), directory("usr", 0o755), directory("var", 0o755),
		file("etc/passwd", 0o644, []byte(passwd)), file("etc/group", 0o644, []byte(group)),
		file("bin/busybox", 0o755, binary), file("bin/app", 0o755, app),
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			files = append(files, hardLink("bin/"+applet, "bin/busybox"))
		}
	}
	return build(v1.Config{Env: []string{searchPath}, Cmd: []string{"sh"}}, files)
}

// App is an image without any shell, as distroless ones are: one static program, run as a user that is not root.
func App(program string) (v1.Image, error) {
	return application(program, v1.Config{
		Env: []string{searchPath, "APP_MODE=production"}, User: "65532", WorkingDir: "/home/nonroot",
		Entrypoint: []string{"/app"}, Cmd: []string{"serve"}, Labels: map[string]string{"org.opencontainers.image.title": "app"},
	})
}

// Crasher is App, but ends at once with exit code 3.
func Crasher(program string) (v1.Image, error) {
	return application(program, v1.Config{Env: []string{searchPath}, Entrypoint: []string{"/app", "crash"}})
}

func application(program string, config v1.Config) (v1.Image, error) {
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read test program: %w", err)
	}
	base, err := build(v1.Config{}, []entry{
		directory("etc", 0o755), directory("tmp", 0o1777), directory("home", 0o755), owned(directory("home/nonroot", 0o700), 65532),
		file("etc/passwd", 0o644, []byte(passwd)), file("etc/group", 0o644, []byte(group)),
	})
	if err != nil {
		return nil, err
	}
	return extend(base, config, []entry{file("app", 0o755, binary)})
}

// Extended is an image with one more layer of a single file, to tell versions of an image apart.
func Extended(base v1.Image, name string, content []byte) (v1.Image, error) {
	config, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	return extend(base, config.Config, []entry{file(strings.TrimPrefix(path.Clean(name), "/"), 0o644, content)})
}

type entry struct {
	tar.Header
	content []byte
}

func directory(name string, mode int64) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}}
}

func file(name string, mode int64, content []byte) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content: content}
}

func hardLink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o755}}
}

func owned(e entry, id int) entry {
	e.Uid, e.Gid = id, id
	return e
}

func build(config v1.Config, files []entry) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return extend(base, config, files)
}

// epoch dates everything in an image, so that the same programs give the same digests.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// extend puts a layer on an image and gives it a configuration.
func extend(base v1.Image, config v1.Config, files []entry) (v1.Image, error) {
	layer, err := pack(files)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("append layer: %w", err)
	}
	old, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file := old.DeepCopy()
	file.Config, file.OS, file.Architecture, file.Created = config, "linux", "amd64", v1.Time{Time: epoch}
	return mutate.ConfigFile(image, file)
}

// pack makes a layer of files.
func pack(files []entry) (v1.Layer, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range files {
		header := f.Header
		header.ModTime = epoch
		if err := w.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack layer: %w", err)
	}
	data := slices.Clip(buffer.Bytes())
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		tarball.WithMediaType(types.OCILayer))
}
