package cri

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestUnimplemented: what the runtime cannot do says so in words for a person.
func TestUnimplemented(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	for want, call := range map[string]func() error{
		"checkpoint container: this runtime cannot freeze": func() error {
			_, err := f.CheckpointContainer(t.Context(), &runtimev1.CheckpointContainerRequest{ContainerId: id, Location: t.TempDir() + "/file"})
			return err
		},
		"checkpoint pod: this runtime cannot freeze": func() error {
			_, err := f.CheckpointPod(t.Context(), &runtimev1.CheckpointPodRequest{PodSandboxId: pod})
			return err
		},
		"restore pod: this runtime makes no checkpoints": func() error {
			_, err := f.RestorePod(t.Context(), &runtimev1.RestorePodRequest{})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	f.exec(id, "true") // and it runs on
}

// TestUnknown: calls for what is not there.
func TestUnknown(t *testing.T) {
	f := newFixture(t)
	const id = "0123456789"
	for name, call := range map[string]func() error{
		"status": func() error {
			_, err := f.ContainerStatus(t.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id})
			return err
		},
		"sandbox status": func() error {
			_, err := f.PodSandboxStatus(t.Context(), &runtimev1.PodSandboxStatusRequest{PodSandboxId: id})
			return err
		},
		"start": func() error {
			_, err := f.StartContainer(t.Context(), &runtimev1.StartContainerRequest{ContainerId: id})
			return err
		},
		"stats": func() error {
			_, err := f.ContainerStats(t.Context(), &runtimev1.ContainerStatsRequest{ContainerId: id})
			return err
		},
		"sandbox stats": func() error {
			_, err := f.PodSandboxStats(t.Context(), &runtimev1.PodSandboxStatsRequest{PodSandboxId: id})
			return err
		},
		"reopen": func() error {
			_, err := f.ReopenContainerLog(t.Context(), &runtimev1.ReopenContainerLogRequest{ContainerId: id})
			return err
		},
		"exec": func() error {
			_, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"true"}})
			return err
		},
		"update": func() error {
			_, err := f.UpdateContainerResources(t.Context(), &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: &runtimev1.LinuxContainerResources{}})
			return err
		},
		"create": func() error {
			_, err := f.CreateContainer(t.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: id, Config: &runtimev1.ContainerConfig{Metadata: &runtimev1.ContainerMetadata{Name: "app"}}})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.RunPodSandbox(t.Context(), &runtimev1.RunPodSandboxRequest{RuntimeHandler: "no-such", Config: &runtimev1.PodSandboxConfig{Metadata: &runtimev1.PodSandboxMetadata{Name: "x"}}})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `"no-such"`) {
		t.Errorf("unknown handler: %v", err)
	}
}

// TestPullHandler: an image is pulled for every runtime handler that the runtime lists, and for no other.
func TestPullHandler(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RuntimeHandlers = map[string]string{"runc": lookPath(t, "runc")} })
	registry := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(registry.Close)
	tag, err := name.NewTag(strings.TrimPrefix(registry.URL, "http://") + "/team/small:v1")
	if err != nil {
		t.Fatal(err)
	}
	small, err := random.Image(1<<10, 1)
	if err == nil {
		err = remote.Write(tag, small)
	}
	if err != nil {
		t.Fatal(err)
	}
	pull := func(handler string) error {
		_, err := f.images.PullImage(t.Context(), &runtimev1.PullImageRequest{Image: &runtimev1.ImageSpec{Image: tag.String(), RuntimeHandler: handler}})
		return err
	}
	if err := pull("no-such"); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `unknown runtime handler "no-such"`) {
		t.Errorf("unknown handler: %v", err)
	}
	known, err := f.Status(t.Context(), &runtimev1.StatusRequest{})
	if err != nil || len(known.GetRuntimeHandlers()) != 3 {
		t.Fatalf("handlers %v, %v", known.GetRuntimeHandlers(), err)
	}
	for _, handler := range known.GetRuntimeHandlers() {
		if err := pull(handler.GetName()); err != nil {
			t.Errorf("handler %q: %v", handler.GetName(), err)
		}
	}
}
