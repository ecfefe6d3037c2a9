package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// fakeRuntime is a CRI runtime that keeps everything in memory and runs nothing.
type fakeRuntime struct {
	runtimev1.UnimplementedRuntimeServiceServer
	runtimev1.UnimplementedImageServiceServer

	mu         sync.Mutex
	next       int
	sandboxes  []*runtimev1.PodSandboxStatus
	containers []*fakeContainer
	images     map[string]*runtimev1.Image
	limits     []string // of cgroups
	calls      []string
	listeners  []chan *runtimev1.ContainerEventResponse
	// refuse holds errors by "verb name" (of container or image).
	refuse map[string]error
	// before holds what happens just before a "verb name", with mu held.
	before map[string]func()
	// slow is how long the answer to a list of containers is under way: it tells how things were before.
	slow time.Duration
	// ignoreStop makes containers outlive their stop signal until the timeout.
	ignoreStop bool
	sandboxLog []*runtimev1.PodSandboxConfig
	execs      map[string]int32
	usage      uint64 // of memory, by each container
}

type fakeContainer struct {
	*runtimev1.ContainerStatus
	sandbox string
	config  *runtimev1.ContainerConfig
}

func newFakeRuntime(images ...string) *fakeRuntime {
	f := &fakeRuntime{images: map[string]*runtimev1.Image{}, refuse: map[string]error{}, execs: map[string]int32{}}
	for _, name := range images {
		f.images[name] = &runtimev1.Image{Id: "sha256:" + name, RepoTags: []string{"docker.io/library/" + name}, Size: 42}
	}
	return f
}

// dial serves f and returns a client of it.
func (f *fakeRuntime) dial(t *testing.T) *runtime.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServiceServer(server, f)
	runtimev1.RegisterImageServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	c, err := runtime.Dial("passthrough:///fake", "", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fakeRuntime) call(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// LimitCgroup implements pod.Cgroups.
func (f *fakeRuntime) LimitCgroup(_ context.Context, name string, r *runtimev1.LinuxContainerResources) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits = append(f.limits, fmt.Sprintf("%s cpu %d/%d memory %d", name, r.GetCpuShares(), r.GetCpuQuota(), r.GetMemoryLimitInBytes()))
	return f.refuse["limit"]
}

// limited returns the limits that cgroups got so far.
func (f *fakeRuntime) limited() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.limits)
}

// log returns the calls so far that change something.
func (f *fakeRuntime) log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeRuntime) id(kind string) string {
	f.next++
	return fmt.Sprintf("%s%d", kind, f.next)
}

func (f *fakeRuntime) emit(c *fakeContainer, kind runtimev1.ContainerEventType) {
	event := &runtimev1.ContainerEventResponse{ContainerId: c.GetId(), ContainerEventType: kind}
	for _, s := range f.sandboxes {
		if s.GetId() == c.sandbox {
			event.PodSandboxStatus = proto.Clone(s).(*runtimev1.PodSandboxStatus)
		}
	}
	for _, l := range f.listeners {
		l <- event
	}
}

// exit ends the newest run of the named container.
func (f *fakeRuntime) exit(t *testing.T, name string, code int32) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.containers) - 1; i >= 0; i-- {
		if c := f.containers[i]; c.GetMetadata().GetName() == name {
			f.end(c, code)
			return
		}
	}
	t.Fatalf("no container %s", name)
}

func (f *fakeRuntime) end(c *fakeContainer, code int32) {
	if c.GetState() != runtimev1.ContainerState_CONTAINER_RUNNING {
		return
	}
	c.State, c.ExitCode, c.FinishedAt = runtimev1.ContainerState_CONTAINER_EXITED, code, time.Now().UnixNano()
	f.emit(c, runtimev1.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// find returns the newest run of the named container.
func (f *fakeRuntime) find(name string) *fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.containers) - 1; i >= 0; i-- {
		if f.containers[i].GetMetadata().GetName() == name {
			return f.containers[i]
		}
	}
	return nil
}

func (f *fakeRuntime) Version(context.Context, *runtimev1.VersionRequest) (*runtimev1.VersionResponse, error) {
	return &runtimev1.VersionResponse{RuntimeName: "fake", RuntimeVersion: "1"}, nil
}

func (f *fakeRuntime) Status(context.Context, *runtimev1.StatusRequest) (*runtimev1.StatusResponse, error) {
	return &runtimev1.StatusResponse{Status: &runtimev1.RuntimeStatus{Conditions: []*runtimev1.RuntimeCondition{{Type: "RuntimeReady", Status: true}}}}, nil
}

func (f *fakeRuntime) UpdateRuntimeConfig(context.Context, *runtimev1.UpdateRuntimeConfigRequest) (*runtimev1.UpdateRuntimeConfigResponse, error) {
	return &runtimev1.UpdateRuntimeConfigResponse{}, nil
}

func (f *fakeRuntime) GetContainerEvents(_ *runtimev1.GetEventsRequest, stream runtimev1.RuntimeService_GetContainerEventsServer) error {
	events := make(chan *runtimev1.ContainerEventResponse, 1000)
	f.mu.Lock()
	f.listeners = append(f.listeners, events)
	f.mu.Unlock()
	for {
		select {
		case e := <-events:
			if err := stream.Send(e); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (f *fakeRuntime) RunPodSandbox(_ context.Context, r *runtimev1.RunPodSandboxRequest) (*runtimev1.RunPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("run %s", r.GetConfig().GetMetadata().GetName())
	if err := f.refuse["run "+r.GetConfig().GetMetadata().GetName()]; err != nil {
		return nil, err
	}
	f.sandboxLog = append(f.sandboxLog, r.GetConfig())
	s := &runtimev1.PodSandboxStatus{
		Id: f.id("s"), Metadata: r.GetConfig().GetMetadata(), Labels: r.GetConfig().GetLabels(), CreatedAt: time.Now().UnixNano(),
		Network: &runtimev1.PodSandboxNetworkStatus{Ip: "10.0.0.7"},
	}
	f.sandboxes = append(f.sandboxes, s)
	return &runtimev1.RunPodSandboxResponse{PodSandboxId: s.Id}, nil
}

func matchesLabels(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}

func (f *fakeRuntime) ListPodSandbox(_ context.Context, r *runtimev1.ListPodSandboxRequest) (*runtimev1.ListPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &runtimev1.ListPodSandboxResponse{}
	for _, s := range f.sandboxes {
		if matchesLabels(s.GetLabels(), r.GetFilter().GetLabelSelector()) {
			out.Items = append(out.Items, &runtimev1.PodSandbox{Id: s.Id, Metadata: s.Metadata, State: s.State, CreatedAt: s.CreatedAt, Labels: s.Labels})
		}
	}
	return out, nil
}

func (f *fakeRuntime) PodSandboxStatus(_ context.Context, r *runtimev1.PodSandboxStatusRequest) (*runtimev1.PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sandboxes {
		if s.GetId() == r.GetPodSandboxId() {
			return &runtimev1.PodSandboxStatusResponse{Status: proto.Clone(s).(*runtimev1.PodSandboxStatus)}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no sandbox")
}

func (f *fakeRuntime) StopPodSandbox(_ context.Context, r *runtimev1.StopPodSandboxRequest) (*runtimev1.StopPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("stop sandbox")
	for _, s := range f.sandboxes {
		if s.GetId() == r.GetPodSandboxId() {
			s.State = runtimev1.PodSandboxState_SANDBOX_NOTREADY
		}
	}
	for _, c := range f.containers {
		if c.sandbox == r.GetPodSandboxId() {
			f.end(c, 137)
		}
	}
	return &runtimev1.StopPodSandboxResponse{}, nil
}

func (f *fakeRuntime) RemovePodSandbox(_ context.Context, r *runtimev1.RemovePodSandboxRequest) (*runtimev1.RemovePodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("remove sandbox")
	f.sandboxes = slices.DeleteFunc(f.sandboxes, func(s *runtimev1.PodSandboxStatus) bool { return s.GetId() == r.GetPodSandboxId() })
	f.containers = slices.DeleteFunc(f.containers, func(c *fakeContainer) bool { return c.sandbox == r.GetPodSandboxId() })
	return &runtimev1.RemovePodSandboxResponse{}, nil
}

func (f *fakeRuntime) CreateContainer(_ context.Context, r *runtimev1.CreateContainerRequest) (*runtimev1.CreateContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := r.GetConfig().GetMetadata().GetName()
	f.call("create %s %d", name, r.GetConfig().GetMetadata().GetAttempt())
	if do := f.before["create "+name]; do != nil {
		do()
	}
	if err := f.refuse["create "+name]; err != nil {
		return nil, err
	}
	c := &fakeContainer{sandbox: r.GetPodSandboxId(), config: r.GetConfig(), ContainerStatus: &runtimev1.ContainerStatus{
		Id: f.id("c"), Metadata: r.GetConfig().GetMetadata(), Labels: r.GetConfig().GetLabels(), Annotations: r.GetConfig().GetAnnotations(),
		Image: &runtimev1.ImageSpec{Image: r.GetConfig().GetImage().GetUserSpecifiedImage()}, ImageRef: r.GetConfig().GetImage().GetImage(),
		CreatedAt: time.Now().UnixNano(), Resources: &runtimev1.ContainerResources{Linux: proto.Clone(r.GetConfig().GetLinux().GetResources()).(*runtimev1.LinuxContainerResources)},
	}}
	f.containers = append(f.containers, c)
	return &runtimev1.CreateContainerResponse{ContainerId: c.Id}, nil
}

func (f *fakeRuntime) StartContainer(_ context.Context, r *runtimev1.StartContainerRequest) (*runtimev1.StartContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.GetId() != r.GetContainerId() {
			continue
		}
		f.call("start %s", c.GetMetadata().GetName())
		if do := f.before["start "+c.GetMetadata().GetName()]; do != nil {
			do()
		}
		if err := f.refuse["start "+c.GetMetadata().GetName()]; err != nil {
			c.State, c.ExitCode, c.Reason, c.FinishedAt = runtimev1.ContainerState_CONTAINER_EXITED, 128, "StartError", time.Now().UnixNano()
			return nil, err
		}
		c.State, c.StartedAt = runtimev1.ContainerState_CONTAINER_RUNNING, time.Now().UnixNano()
		f.emit(c, runtimev1.ContainerEventType_CONTAINER_STARTED_EVENT)
		return &runtimev1.StartContainerResponse{}, nil
	}
	return nil, status.Error(codes.NotFound, "no container")
}

func (f *fakeRuntime) StopContainer(ctx context.Context, r *runtimev1.StopContainerRequest) (*runtimev1.StopContainerResponse, error) {
	f.mu.Lock()
	i := slices.IndexFunc(f.containers, func(c *fakeContainer) bool { return c.GetId() == r.GetContainerId() })
	if i < 0 {
		f.mu.Unlock()
		return nil, status.Error(codes.NotFound, "no container")
	}
	c := f.containers[i]
	f.call("stop %s %d", c.GetMetadata().GetName(), r.GetTimeout())
	wait, code := f.ignoreStop, int32(143)
	f.mu.Unlock()
	if wait {
		code = 137
		select {
		case <-time.After(time.Duration(r.GetTimeout()) * time.Second):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(c, code)
	return &runtimev1.StopContainerResponse{}, nil
}

func (f *fakeRuntime) UpdateContainerResources(_ context.Context, r *runtimev1.UpdateContainerResourcesRequest) (*runtimev1.UpdateContainerResourcesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.GetId() != r.GetContainerId() {
			continue
		}
		f.call("resize %s cpu %d/%d memory %d", c.GetMetadata().GetName(), r.GetLinux().GetCpuShares(), r.GetLinux().GetCpuQuota(), r.GetLinux().GetMemoryLimitInBytes())
		if err := f.refuse["resize "+c.GetMetadata().GetName()]; err != nil {
			return nil, err
		}
		proto.Merge(c.Resources.Linux, r.GetLinux())
		return &runtimev1.UpdateContainerResourcesResponse{}, nil
	}
	return nil, status.Error(codes.NotFound, "no container")
}

func (f *fakeRuntime) ContainerStats(context.Context, *runtimev1.ContainerStatsRequest) (*runtimev1.ContainerStatsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &runtimev1.ContainerStatsResponse{Stats: &runtimev1.ContainerStats{Memory: &runtimev1.MemoryUsage{UsageBytes: &runtimev1.UInt64Value{Value: f.usage}}}}, nil
}

func (f *fakeRuntime) RemoveContainer(_ context.Context, r *runtimev1.RemoveContainerRequest) (*runtimev1.RemoveContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.containers = slices.DeleteFunc(f.containers, func(c *fakeContainer) bool { return c.GetId() == r.GetContainerId() })
	return &runtimev1.RemoveContainerResponse{}, nil
}

func (f *fakeRuntime) ListContainers(ctx context.Context, r *runtimev1.ListContainersRequest) (*runtimev1.ListContainersResponse, error) {
	f.mu.Lock()
	out := &runtimev1.ListContainersResponse{}
	for _, c := range f.containers {
		if matchesLabels(c.GetLabels(), r.GetFilter().GetLabelSelector()) {
			out.Containers = append(out.Containers, &runtimev1.Container{Id: c.Id, PodSandboxId: c.sandbox, Metadata: c.Metadata, State: c.State, CreatedAt: c.CreatedAt, Labels: c.Labels})
		}
	}
	slow := f.slow
	f.mu.Unlock()
	select {
	case <-time.After(slow):
		return out, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (f *fakeRuntime) ContainerStatus(_ context.Context, r *runtimev1.ContainerStatusRequest) (*runtimev1.ContainerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.GetId() == r.GetContainerId() {
			return &runtimev1.ContainerStatusResponse{Status: proto.Clone(c.ContainerStatus).(*runtimev1.ContainerStatus)}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no container")
}

func (f *fakeRuntime) ExecSync(_ context.Context, r *runtimev1.ExecSyncRequest) (*runtimev1.ExecSyncResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	command := strings.Join(r.GetCmd(), " ")
	f.call("exec %s", command)
	return &runtimev1.ExecSyncResponse{ExitCode: f.execs[command]}, nil
}

func (f *fakeRuntime) ImageStatus(_ context.Context, r *runtimev1.ImageStatusRequest) (*runtimev1.ImageStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &runtimev1.ImageStatusResponse{Image: f.images[strings.TrimPrefix(r.GetImage().GetImage(), "sha256:")]}, nil
}

func (f *fakeRuntime) ListImages(context.Context, *runtimev1.ListImagesRequest) (*runtimev1.ListImagesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &runtimev1.ListImagesResponse{Images: slices.Collect(maps.Values(f.images))}, nil
}

func (f *fakeRuntime) RemoveImage(_ context.Context, r *runtimev1.RemoveImageRequest) (*runtimev1.RemoveImageResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call("remove image %s", r.GetImage().GetImage())
	maps.DeleteFunc(f.images, func(_ string, img *runtimev1.Image) bool { return img.GetId() == r.GetImage().GetImage() })
	return &runtimev1.RemoveImageResponse{}, nil
}

func (f *fakeRuntime) ImageFsInfo(context.Context, *runtimev1.ImageFsInfoRequest) (*runtimev1.ImageFsInfoResponse, error) {
	return &runtimev1.ImageFsInfoResponse{ImageFilesystems: []*runtimev1.FilesystemUsage{{FsId: &runtimev1.FilesystemIdentifier{Mountpoint: "/"}}}}, nil
}

func (f *fakeRuntime) PullImage(_ context.Context, r *runtimev1.PullImageRequest) (*runtimev1.PullImageResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := r.GetImage().GetImage()
	f.call("pull %s %s", name, r.GetAuth().GetUsername())
	if err := f.refuse["pull "+name]; err != nil {
		return nil, err
	}
	f.images[name] = &runtimev1.Image{Id: "sha256:" + name, Size: 42}
	return &runtimev1.PullImageResponse{ImageRef: "sha256:" + name}, nil
}

func (f *fakeRuntime) ReopenContainerLog(context.Context, *runtimev1.ReopenContainerLogRequest) (*runtimev1.ReopenContainerLogResponse, error) {
	return &runtimev1.ReopenContainerLogResponse{}, nil
}
