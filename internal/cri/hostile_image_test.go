package cri

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// craft makes an image of busybox's and a layer of somebody else's, with a user of theirs.
func (f *fixture) craft(repository, user string, files []tar.Header, content map[string][]byte) string {
	f.Helper()
	archive, err := buildImage()
	if err != nil {
		f.Fatal(err)
	}
	base, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, nil)
	if err != nil {
		f.Fatal(err)
	}
	layer, err := pack(files, content)
	if err != nil {
		f.Fatal(err)
	}
	made, err := mutate.AppendLayers(base, layer)
	if err != nil {
		f.Fatal(err)
	}
	config, err := made.ConfigFile()
	if err != nil {
		f.Fatal(err)
	}
	config.Config.User = user
	if made, err = mutate.ConfigFile(made, config); err != nil {
		f.Fatal(err)
	}
	return f.load(repository, made)
}

func (f *fixture) load(repository string, made v1.Image) string {
	f.Helper()
	tag, err := name.NewTag("hostile.test/" + repository + ":1")
	if err != nil {
		f.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, made, &archive); err != nil {
		f.Fatal(err)
	}
	if _, err := f.server.images.Import(f.Context(), &archive, image.ImportOptions{}); err != nil {
		f.Fatal(err)
	}
	return tag.Name()
}

func link(path, target string) tar.Header {
	return tar.Header{Name: path, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777}
}

// attempt starts a container of an image, and returns its ID whether it started or not.
func (f *fixture) attempt(pod string, config *runtimev1.PodSandboxConfig, image, name string, change ...func(*runtimev1.ContainerConfig)) (string, error) {
	f.Helper()
	id := f.create(pod, config, name, append(change, func(c *runtimev1.ContainerConfig) { c.Image.Image = image })...)
	_, err := f.StartContainer(f.Context(), &runtimev1.StartContainerRequest{ContainerId: id})
	return id, err
}

// TestHostileLinks: images whose places of mounts are links to the host, to descriptors, to procfs or to nowhere. A
// container starts inside, with the kernel's own file systems where they belong, or does not start.
func TestHostileLinks(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	outside, volume := t.TempDir(), t.TempDir()
	file := filepath.Join(outside, "file")
	for _, path := range []string{file, filepath.Join(volume, "inside")} {
		if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := hostMounts(t)
	targets := map[string]string{
		"host": outside, "climb": strings.Repeat("../", 20) + outside, "nowhere": "no/such/place", "root": "/", "itself": "self",
		"descriptor": "/proc/self/fd/7", "procfs": "/proc/self", "init": "/proc/1/root" + outside, "file": file, "parent": "..",
	}
	started := 0
	for _, place := range []string{"dev", "proc", "sys", "data", "etc/hosts"} {
		for _, kind := range slices.Sorted(maps.Keys(targets)) {
			target := targets[kind]
			if target == "self" {
				target = "/" + place
			}
			label := strings.NewReplacer("/", "-", ".", "-").Replace(place) + "-" + kind
			image := f.craft(label, "", []tar.Header{link(place, target)}, nil)
			id, err := f.attempt(pod, config, image, label, func(c *runtimev1.ContainerConfig) {
				c.Linux.SecurityContext.MaskedPaths = []string{"/proc/kcore", "/proc/timer_list", "/sys/firmware"}
				c.Mounts = []*runtimev1.Mount{{HostPath: volume, ContainerPath: "/data/volume"}, {HostPath: filepath.Join(volume, "inside"), ContainerPath: "/data/file"}}
			})
			if err == nil {
				started++
				f.kernels(label, id)
			}
			if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
				t.Errorf("%s: remove: %v", label, err)
			}
		}
	}
	if started < 10 {
		t.Errorf("%d containers started: that proves little", started)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("the directory outside holds %v, %v", entries, err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "theirs" {
		t.Errorf("the file outside holds %q, %v", content, err)
	}
	if after := hostMounts(t); after != before {
		t.Errorf("mounts of the host before\n%s\nafter\n%s", before, after)
	}
}

// kernels looks at a container from outside: procfs, sysfs and the null device are what they seem to be.
func (f *fixture) kernels(label, id string) {
	f.Helper()
	c, err := f.server.containers.Get(id)
	if err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", c.PID()))
	if err != nil {
		f.Errorf("%s: %v", label, err)
		return
	}
	kinds := map[string]string{}
	for line := range strings.Lines(string(content)) {
		before, after, _ := strings.Cut(line, " - ")
		kinds[strings.Fields(before)[4]] = strings.Fields(after)[0]
	}
	for path, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs"} {
		if kinds[path] != kind {
			f.Errorf("%s: %s is %q", label, path, kinds[path])
		}
	}
	var st unix.Stat_t
	null := fmt.Sprintf("/proc/%d/root/dev/null", c.PID())
	if err := unix.Lstat(null, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		f.Errorf("%s: /dev/null has mode %o and number %d, %v", label, st.Mode, st.Rdev, err)
	}
	if content := f.exec(id, "sh", "-c", "cat /proc/kcore /proc/timer_list 2>/dev/null | wc -c"); content != "0" {
		f.Errorf("%s: %s bytes of what is masked", label, content)
	}
}

func hostMounts(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(content)) { // others come and go meanwhile
		if !strings.Contains(line, "/tmp/") || strings.Contains(line, "hostile") || strings.Contains(line, t.Name()) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// TestHostileAccounts: an image's passwd and group can be anything. Reading them ends soon, takes little, and never
// finds the host's.
func TestHostileAccounts(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	line := []byte("app:x:1000:1000::/:/bin/sh\n")
	huge := append(bytes.Repeat([]byte("filler:x:1:1::/:/bin/sh\n"), 3<<20), line...) // 72 MB
	long := append(append(bytes.Repeat([]byte("a"), 60<<10), '\n'), line...)
	sized := func(content []byte) tar.Header {
		return tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(content))}
	}
	for name, c := range map[string]struct {
		file    tar.Header
		content []byte
	}{
		"host":   {link("etc/passwd", "/etc/passwd"), nil},
		"climb":  {link("etc/passwd", strings.Repeat("../", 20)+"etc/passwd"), nil},
		"procfs": {link("etc/passwd", "/proc/self/root/etc/passwd"), nil},
		"fifo":   {tar.Header{Name: "etc/passwd", Typeflag: tar.TypeFifo, Mode: 0o644}, nil},
		"zero":   {tar.Header{Name: "etc/passwd", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5, Mode: 0o666}, nil},
		"dir":    {tar.Header{Name: "etc/passwd/", Typeflag: tar.TypeDir, Mode: 0o755}, nil},
		"huge":   {sized(huge), huge},
		"long":   {sized(long), long},
		"twice":  {sized(line), line},
	} {
		image := f.craft(name, "", []tar.Header{c.file}, map[string][]byte{"etc/passwd": c.content})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for _, who := range []string{"daemon", "nobody", "www-data"} { // whom the host knows
			_, err := f.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
				Metadata: &runtimev1.ContainerMetadata{Name: name + who}, Image: &runtimev1.ImageSpec{Image: image},
				Linux: &runtimev1.LinuxContainerConfig{SecurityContext: &runtimev1.LinuxContainerSecurityContext{RunAsUsername: who}},
			}})
			if err == nil || ctx.Err() != nil {
				t.Errorf("%s: user %s: %v", name, who, err)
			}
		}
		cancel()
		id, err := f.attempt(pod, config, image, name, func(c *runtimev1.ContainerConfig) {
			c.Linux.SecurityContext.RunAsUser = &runtimev1.Int64Value{Value: 1000}
		})
		if err != nil {
			t.Errorf("%s: as a number: %v", name, err)
		} else if got := f.exec(id, "sh", "-c", "set -- $(grep Uid: /proc/self/status); echo $2"); got != "1000" {
			t.Errorf("%s: runs as %s", name, got)
		}
	}
	if peak := memory(t, os.Getpid(), "VmHWM"); peak > 1<<30 {
		t.Errorf("the runtime took %d MB", peak>>20)
	}
}

// TestHostileUsers: numbers that do not fit are refused. Cut off at 32 bits, some are root's (GO-2025-3528).
func TestHostileUsers(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	for i, user := range []string{
		"4294967296", "4294967296:0", "0:4294967296", "1000:4294967296", "4294967295", "2147483648", "18446744073709551616", "-1", "+0", "0x0", "1e0", "00:+0", "１",
		"wraps", "minus", "long",
	} {
		accounts := []byte("wraps:x:4294967296:4294967296::/:/bin/sh\nminus:x:-4294967296:0::/:/bin/sh\nlong:x:18446744073709551616:0::/:/bin/sh\n")
		image := f.craft(fmt.Sprintf("user%d", i), user, []tar.Header{{Name: "etc/passwd", Mode: 0o644, Size: int64(len(accounts))}}, map[string][]byte{"etc/passwd": accounts})
		answer, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
			Metadata: &runtimev1.ContainerMetadata{Name: fmt.Sprint("user", i)}, Image: &runtimev1.ImageSpec{Image: image}, Command: []string{"sleep", "1000"},
		}})
		if err != nil {
			continue
		}
		t.Errorf("a container of user %q is made, as %v", user, f.status(answer.GetContainerId()).GetUser())
	}
	for _, number := range []int64{1 << 32, -1, 1 << 31, 1<<63 - 1} {
		for name, sc := range map[string]*runtimev1.LinuxContainerSecurityContext{
			"user":   {RunAsUser: &runtimev1.Int64Value{Value: number}},
			"group":  {RunAsUser: &runtimev1.Int64Value{}, RunAsGroup: &runtimev1.Int64Value{Value: number}},
			"groups": {SupplementalGroups: []int64{number}},
		} {
			_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: &runtimev1.ContainerConfig{
				Metadata: &runtimev1.ContainerMetadata{Name: "number"}, Image: &runtimev1.ImageSpec{Image: busybox}, Linux: &runtimev1.LinuxContainerConfig{SecurityContext: sc},
			}})
			if err == nil {
				t.Errorf("a container of %s %d is made", name, number)
			}
		}
	}
}

// memory reads a figure of a process, in bytes.
func memory(t *testing.T, pid int, key string) (bytes int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+key+":")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}
