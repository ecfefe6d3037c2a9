package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mayfly-run/mayfly/test/image"
	"github.com/mayfly-run/mayfly/test/suite"
)

// Where the suite's images come from, and the repositories below.
const (
	released = "e2e-test-images/"
	staging  = "k8s-staging-cri-tools/"
)

// digested is the image that the suite names by the digest suiteDigest of sha256, which nothing made here can have.
const (
	digested    = staging + "test-image-digest:latest"
	suiteDigest = "9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n" +
		"nobody:x:65534:65534:nobody:/home:/bin/false\ndefault-user:x:1000:1000::/home:/bin/sh\n"
	group = "root:x:0:\nwww-data:x:33:\nnobody:x:65534:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"
)

// environment is every image's; PORT is the web servers'.
func environment(more ...string) []string {
	return append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, more...)
}

// images returns the suite's images by repository and tag.
func images(busybox, guest string) (map[string]v1.Image, error) {
	base, err := baseImage(busybox, guest)
	if err != nil {
		return nil, err
	}
	var errs []error
	all := map[string]v1.Image{}
	add := func(name string, config v1.Config, files ...image.File) {
		config.Env = append(environment(), config.Env...)
		if config.Cmd == nil {
			config.Cmd = []string{"sh"}
		}
		built, err := image.Custom(base, config, files)
		all[name] = built
		errs = append(errs, err)
	}
	add(released+"busybox:1.29-2", v1.Config{})
	add("pause:3.9", v1.Config{Cmd: []string{"sleep", "1000000"}})
	add(released+"nonewprivs:1.3", v1.Config{User: "1000", Cmd: []string{"/nnp"}}, image.File{Name: "nnp", Mode: 0o4755, Content: mustRead(guest, &errs)})
	for name, port := range map[string]string{released + "nginx:1.14-2": "80", staging + "hostnet-nginx-amd64:latest": "12003"} {
		add(name, v1.Config{Cmd: []string{"nginx", "master process"}, Env: []string{"PORT=" + port}})
	}
	add(released+"httpd:2.4.39-4", v1.Config{Cmd: []string{"httpd"}, Env: []string{"PORT=80"}})
	for name, user := range map[string]string{
		"user-uid": "1002", "user-username": "www-data", "user-uid-group": "1003:1004", "user-username-group": "www-data:1004", "predefined-group": "1000",
	} {
		add(staging+"test-image-"+name+":latest", v1.Config{User: user})
	}
	for _, name := range []string{"latest:latest", "tag:test", "tag:all", "1:latest", "2:latest", "3:latest", "tags:1", "tags:2", "tags:3"} {
		content := name
		if strings.HasPrefix(name, "tags:") { // three tags of one image
			content = "tags"
		}
		add(staging+"test-image-"+name, v1.Config{}, image.File{Name: "name", Mode: 0o644, Content: []byte(content)})
	}
	add(digested, v1.Config{}, image.File{Name: "name", Mode: 0o644, Content: []byte("digest")})
	return all, errors.Join(errs...)
}

// baseImage holds Busybox with its applets as files, host programs that the suite calls and Busybox has not, and guest.
// Its shell must be one that runs the files of its path, not applets of its own, for one of them is masked.
func baseImage(busybox, guest string) (v1.Image, error) {
	var errs []error
	var files []image.File
	for _, dir := range []string{"bin", "etc", "home", "lib", "lib64", "lib/x86_64-linux-gnu", "root", "usr", "usr/bin", "usr/sbin", "var", "var/www"} {
		files = append(files, image.File{Name: dir + "/", Mode: 0o755})
	}
	files = append(files, image.File{Name: "tmp/", Mode: 0o1777},
		image.File{Name: "etc/passwd", Mode: 0o644, Content: []byte(passwd)}, image.File{Name: "etc/group", Mode: 0o644, Content: []byte(group)},
		image.File{Name: "bin/busybox", Mode: 0o755, Content: mustRead(busybox, &errs)},
		image.File{Name: "usr/sbin/nginx", Mode: 0o755, Content: mustRead(guest, &errs)}, image.File{Name: "usr/sbin/httpd", Link: "usr/sbin/nginx"})
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list applets of %s: %w", busybox, err)
	}
	for _, applet := range strings.Fields(string(list)) {
		if !slices.Contains([]string{"busybox", "httpd", "ipcs", "pgrep"}, applet) {
			files = append(files, image.File{Name: "bin/" + applet, Link: "bin/busybox"})
		}
	}
	programs, err := suite.HostPrograms("ipcs", "pgrep")
	errs = append(errs, err)
	libraries, err := suite.Libraries(busybox)
	files = append(append(files, programs...), libraries...)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return image.Custom(nil, v1.Config{}, files)
}

func mustRead(path string, errs *[]error) []byte {
	content, err := os.ReadFile(path)
	*errs = append(*errs, err)
	return content
}

// adopt copies the suite to a program that names one of our images in the place of the one that it names by digest.
func adopt(suite, into string, ours v1.Image) error {
	digest, err := ours.Digest()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(suite)
	if err != nil {
		return err
	}
	if n := bytes.Count(program, []byte(suiteDigest)); n != 1 {
		return fmt.Errorf("%s has the digest %s %d times, not once: has the suite another by now?", suite, suiteDigest, n)
	}
	return os.WriteFile(into, bytes.Replace(program, []byte(suiteDigest), []byte(digest.Hex), 1), 0o755)
}
