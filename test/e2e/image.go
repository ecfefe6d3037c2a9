package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/test/image"
	"github.com/mayfly-run/mayfly/test/suite"
)

const released = "e2e-test-images/"

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n"
	group  = "root:x:0:\nnobody:x:65534:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"
)

// images returns the suite's images by repository and tag.
func images(busybox, programs string) (map[string]v1.Image, error) {
	base, err := baseImage(busybox)
	if err != nil {
		return nil, err
	}
	var errs []error
	all := map[string]v1.Image{}
	add := func(name string, config v1.Config, files ...image.File) {
		config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
		built, err := image.Custom(base, config, files)
		all[name] = built
		errs = append(errs, err)
	}
	program := func(name, at string, mode int64) image.File {
		content, err := os.ReadFile(filepath.Join(programs, name))
		errs = append(errs, err)
		return image.File{Name: at, Mode: mode, Content: content}
	}
	agnhost := []image.File{program("agnhost", "agnhost", 0o755), {Name: "agnhost-2", Link: "agnhost"}, {Name: "uploads/", Mode: 0o755},
		program("localhost.crt", "localhost.crt", 0o644), program("localhost.key", "localhost.key", 0o644)}
	for _, tag := range []string{"2.66.1", "2.55"} {
		add(released+"agnhost:"+tag, v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}, agnhost...)
	}
	add("pause:3.10.2", v1.Config{Entrypoint: []string{"/agnhost", "pause"}}, agnhost[0])
	add(released+"busybox:1.37.0-2", v1.Config{Cmd: []string{"sh"}})
	add(released+"glibc-dns-testing:2.1.1", v1.Config{Cmd: []string{"sh"}})
	add(released+"kitten:1.8", v1.Config{}, // mounted as a volume, whose files a spec reads
		image.File{Name: "data.json", Mode: 0o644, Content: []byte(`{"image": "kitten.jpg"}`)}, image.File{Name: "etc/os-release", Mode: 0o644, Content: []byte("NAME=\"Alpine Linux\"\n")})
	add(released+"nonroot:1.5", v1.Config{Cmd: []string{"sh"}, User: "1234"})
	add(released+"ipc-utils:1.4", v1.Config{Cmd: []string{"sh"}})
	add(released+"nonewprivs:1.4", v1.Config{Cmd: []string{"nnp"}}, program("nonewprivs", "usr/local/bin/nnp", 0o6755))
	for _, tag := range []string{"1.27.0-2", "1.28.0-2"} {
		add(released+"nginx:"+tag, v1.Config{Cmd: []string{"/agnhost", "test-webserver", "--port=80"}, Labels: map[string]string{"version": tag}}, agnhost[0])
	}
	return all, errors.Join(errs...)
}

// baseImage holds Busybox with its applets as files, and what specs call besides.
func baseImage(busybox string) (v1.Image, error) {
	var files []image.File
	for _, dir := range []string{"bin", "etc", "home", "lib", "lib64", "lib/x86_64-linux-gnu", "root", "usr", "usr/bin", "usr/local", "usr/lib", "usr/lib/x86_64-linux-gnu", "usr/local/bin", "usr/sbin", "var"} {
		files = append(files, image.File{Name: dir + "/", Mode: 0o755})
	}
	content, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	files = append(files, image.File{Name: "tmp/", Mode: 0o1777}, image.File{Name: "bin/busybox", Mode: 0o755, Content: content},
		image.File{Name: "etc/passwd", Mode: 0o644, Content: []byte(passwd)}, image.File{Name: "etc/group", Mode: 0o644, Content: []byte(group)})
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list applets of %s: %w", busybox, err)
	}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			files = append(files, image.File{Name: "bin/" + applet, Link: "bin/busybox"})
		}
	}
	programs, err := suite.HostPrograms("bash", "curl", "printenv")
	if err != nil {
		return nil, err
	}
	files = append(append(files, programs...), image.File{Name: "bin/bash", Link: "usr/bin/bash"})
	return image.Custom(nil, v1.Config{}, files)
}
