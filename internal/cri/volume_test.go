package cri

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func imageVolume(sub string) func(*runtimev1.ContainerConfig) {
	return func(c *runtimev1.ContainerConfig) {
		c.Mounts = []*runtimev1.Mount{{ContainerPath: "/volume", Readonly: true, Image: &runtimev1.ImageSpec{Image: busybox}, ImageSubPath: sub}}
	}
}

// TestImageVolume: an image, or what is below one of its paths, is there to be read; no path leads out of it.
func TestImageVolume(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	image, err := f.images.ImageStatus(t.Context(), &runtimev1.ImageStatusRequest{Image: &runtimev1.ImageSpec{Image: busybox}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for name, c := range map[string]struct{ sub, path, want string }{
		"whole":      {"", "/volume/etc/passwd", passwd},
		"directory":  {"etc", "/volume/passwd", passwd},
		"file":       {"etc/group", "/volume", group},
		"from above": {"../../../etc", "/volume/passwd", passwd},
	} {
		id := f.run(pod, config, strings.ReplaceAll(name, " ", "-"), imageVolume(c.sub))
		ids = append(ids, id)
		if got := f.exec(id, "cat", c.path); got != strings.TrimSpace(c.want) {
			t.Errorf("%s: %q", name, got)
		}
		answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "echo x >" + c.path}, Timeout: 20})
		if err != nil || !strings.Contains(string(answer.GetStderr()), "Read-only file system") {
			t.Errorf("%s: write: %v, %v", name, answer, err)
		}
		if m := f.status(id).GetMounts()[0]; m.GetImage().GetImageRef() != image.GetImage().GetId() || m.GetImageSubPath() != c.sub {
			t.Errorf("%s: status %v", name, m)
		}
	}
	for name, change := range map[string]func(*runtimev1.Mount){
		"no such path":  func(m *runtimev1.Mount) { m.ImageSubPath = "no/such" },
		"no such image": func(m *runtimev1.Mount) { m.Image.Image = "no.such/image:1" },
		"writable":      func(m *runtimev1.Mount) { m.Readonly = false },
		"host path too": func(m *runtimev1.Mount) { m.HostPath = "/etc" },
	} {
		c := &runtimev1.ContainerConfig{Metadata: &runtimev1.ContainerMetadata{Name: "bad"}, Image: &runtimev1.ImageSpec{Image: busybox}}
		imageVolume("")(c)
		change(c.Mounts[0])
		_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, SandboxConfig: config, Config: c})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.restart()
	for _, id := range ids {
		f.exec(id, "ls", "/volume")
		if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
	}
}
