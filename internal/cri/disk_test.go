package cri

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// disk mounts a file system of its own on a directory, which is made, until the test ends.
func disk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("disk", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestDisks has the runtime's directory be a link, its images on a disk of their own, and a disk for a volume that is
// mounted on the host when all else runs.
func TestDisks(t *testing.T) {
	real, link := filepath.Join(t.TempDir(), "real"), filepath.Join(t.TempDir(), "link")
	disk(t, filepath.Join(real, "images"))
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) { c.RootDir = link })
	pod, config := f.pod("disks", func(c *runtimev1.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimev1.NamespaceMode_POD // there is a pause process
	})
	late := filepath.Join(t.TempDir(), "late")
	disk(t, late)
	if err := os.WriteFile(filepath.Join(late, "file"), []byte("on it"), 0o644); err != nil {
		t.Fatal(err)
	}
	app := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) {
		c.Linux.SecurityContext.NamespaceOptions = config.GetLinux().GetSecurityContext().GetNamespaceOptions()
		c.Mounts = []*runtimev1.Mount{{ContainerPath: "/late", HostPath: late}, {ContainerPath: "/image", Readonly: true, Image: &runtimev1.ImageSpec{Image: busybox}}}
	})
	if got := f.exec(app, "cat", "/late/file"); got != "on it" {
		t.Errorf("the volume shows %q", got)
	}
	if got := f.exec(app, "/image/bin/busybox", "echo", "ran"); got != "ran" {
		t.Errorf("the image volume shows %q", got)
	}
	f.exec(app, "touch", "/written")
}
