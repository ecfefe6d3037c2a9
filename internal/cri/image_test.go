package cri

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	busybox = "docker.io/library/busybox:latest"
	passwd  = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
	group   = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"
)

// buildImage makes an archive of an image of two layers: busybox with its applets, and account files.
var buildImage = sync.OnceValues(func() ([]byte, error) {
	binary, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, err
	}
	list, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	programs := []tar.Header{{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "bin/busybox", Mode: 0o755, Size: int64(len(binary))}}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			programs = append(programs, tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755})
		}
	}
	accounts := []tar.Header{
		{Name: "root/", Typeflag: tar.TypeDir, Mode: 0o700}, {Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, {Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))}, {Name: "etc/group", Mode: 0o644, Size: int64(len(group))},
	}
	layers := make([]v1.Layer, 2)
	if layers[0], err = pack(programs, map[string][]byte{"bin/busybox": binary}); err != nil {
		return nil, err
	}
	if layers[1], err = pack(accounts, map[string][]byte{"etc/passwd": []byte(passwd), "etc/group": []byte(group)}); err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	if img, err = mutate.ConfigFile(img, withConfig(img)); err != nil {
		return nil, err
	}
	tag, err := name.NewTag("busybox:latest")
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	err = tarball.Write(tag, img, &archive)
	return archive.Bytes(), err
})

func withConfig(img v1.Image) *v1.ConfigFile {
	old, err := img.ConfigFile()
	if err != nil {
		return nil
	}
	file := old.DeepCopy()
	file.OS, file.Architecture, file.Config.Cmd = "linux", "amd64", []string{"sh"}
	return file
}

func pack(files []tar.Header, content map[string][]byte) (v1.Layer, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, header := range files {
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content[header.Name]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil })
}
