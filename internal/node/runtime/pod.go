package runtime

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"
)

// Container is one container that the runtime knows, dead or alive.
type Container struct {
	*runtimev1.ContainerStatus
	SandboxID string
}

// Running tells whether the container's process runs.
func (c *Container) Running() bool {
	return c != nil && c.GetState() == runtimev1.ContainerState_CONTAINER_RUNNING
}

// Exited tells whether the container's process has ended.
func (c *Container) Exited() bool {
	return c != nil && (c.GetState() == runtimev1.ContainerState_CONTAINER_EXITED || c.GetState() == runtimev1.ContainerState_CONTAINER_UNKNOWN)
}

// Pod is all that the runtime knows of one Pod. It is never changed once made.
type Pod struct {
	UID             types.UID
	Name, Namespace string
	// Sandboxes holds the newest first. Usually there is one.
	Sandboxes []*runtimev1.PodSandboxStatus
	// Containers holds every attempt of every container, the newest first.
	Containers []*Container
}

// Sandbox returns the newest sandbox that is ready, or nil.
func (p *Pod) Sandbox() *runtimev1.PodSandboxStatus {
	if p == nil || len(p.Sandboxes) == 0 || p.Sandboxes[0].GetState() != runtimev1.PodSandboxState_SANDBOX_READY {
		return nil
	}
	return p.Sandboxes[0]
}

// Latest returns the newest attempt of the named container, or nil.
func (p *Pod) Latest(name string) *Container {
	if p == nil {
		return nil
	}
	for _, c := range p.Containers {
		if c.GetMetadata().GetName() == name {
			return c
		}
	}
	return nil
}

// Previous returns the attempt before the newest one, or nil.
func (p *Pod) Previous(name string) *Container {
	if p == nil {
		return nil
	}
	seen := false
	for _, c := range p.Containers {
		if c.GetMetadata().GetName() != name {
			continue
		}
		if seen {
			return c
		}
		seen = true
	}
	return nil
}

// ByID returns the container with that ID, or nil.
func (p *Pod) ByID(id string) *Container {
	if p == nil {
		return nil
	}
	for _, c := range p.Containers {
		if c.GetId() == id {
			return c
		}
	}
	return nil
}

// AnyRunning tells whether any container of the Pod runs.
func (p *Pod) AnyRunning() bool {
	return p != nil && slices.ContainsFunc(p.Containers, (*Container).Running)
}

// With returns a copy of p in which c is added, or replaces what p held of it.
func (p *Pod) With(c *Container) *Pod {
	out := *p
	out.Containers = []*Container{c}
	for _, old := range p.Containers {
		if old.GetId() != c.GetId() {
			out.Containers = append(out.Containers, old)
		}
	}
	out.sort()
	return &out
}

// Without returns p, or a copy of it that lacks the containers with these IDs.
func (p *Pod) Without(ids map[string]bool) *Pod {
	if len(ids) == 0 || !slices.ContainsFunc(p.Containers, func(c *Container) bool { return ids[c.GetId()] }) {
		return p
	}
	out := *p
	out.Containers = slices.DeleteFunc(slices.Clone(p.Containers), func(c *Container) bool { return ids[c.GetId()] })
	return &out
}

// Pod asks the runtime for everything of one Pod. What prev holds of containers that have exited is taken over
// without asking: an exited container does not change.
func (c *Client) Pod(ctx context.Context, uid types.UID, prev *Pod) (*Pod, error) {
	selector := map[string]string{labels.KubernetesPodUIDLabel: string(uid)}
	sandboxes, err := c.ListPodSandbox(ctx, &runtimev1.ListPodSandboxRequest{Filter: &runtimev1.PodSandboxFilter{LabelSelector: selector}})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes of pod %s: %w", uid, err)
	}
	containers, err := c.ListContainers(ctx, &runtimev1.ListContainersRequest{Filter: &runtimev1.ContainerFilter{LabelSelector: selector}})
	if err != nil {
		return nil, fmt.Errorf("list containers of pod %s: %w", uid, err)
	}
	pod := &Pod{UID: uid}
	for _, s := range sandboxes.GetItems() {
		if err := c.addSandbox(ctx, pod, s, prev); err != nil {
			return nil, err
		}
	}
	for _, item := range containers.GetContainers() {
		if err := c.addContainer(ctx, pod, item, prev); err != nil {
			return nil, err
		}
	}
	pod.sort()
	return pod, nil
}

func (c *Client) addSandbox(ctx context.Context, pod *Pod, s *runtimev1.PodSandbox, prev *Pod) error {
	pod.Name, pod.Namespace = s.GetMetadata().GetName(), s.GetMetadata().GetNamespace()
	if prev != nil {
		for _, old := range prev.Sandboxes {
			if old.GetId() == s.GetId() && old.GetState() == s.GetState() {
				pod.Sandboxes = append(pod.Sandboxes, old)
				return nil
			}
		}
	}
	answer, err := c.PodSandboxStatus(ctx, &runtimev1.PodSandboxStatusRequest{PodSandboxId: s.GetId()})
	if Gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask status of sandbox %s: %w", s.GetId(), err)
	}
	pod.Sandboxes = append(pod.Sandboxes, answer.GetStatus())
	return nil
}

func (c *Client) addContainer(ctx context.Context, pod *Pod, item *runtimev1.Container, prev *Pod) error {
	if pod.Name == "" {
		pod.Name, pod.Namespace = item.GetLabels()[labels.KubernetesPodNameLabel], item.GetLabels()[labels.KubernetesPodNamespaceLabel]
	}
	if old := prev.ByID(item.GetId()); old != nil && old.GetState() == item.GetState() && item.GetState() != runtimev1.ContainerState_CONTAINER_CREATED {
		pod.Containers = append(pod.Containers, old)
		return nil
	}
	answer, err := c.ContainerStatus(ctx, &runtimev1.ContainerStatusRequest{ContainerId: item.GetId()})
	if Gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask status of container %s: %w", item.GetId(), err)
	}
	pod.Containers = append(pod.Containers, &Container{ContainerStatus: answer.GetStatus(), SandboxID: item.GetPodSandboxId()})
	return nil
}

func (p *Pod) sort() {
	slices.SortStableFunc(p.Sandboxes, func(a, b *runtimev1.PodSandboxStatus) int {
		return cmp.Compare(b.GetCreatedAt(), a.GetCreatedAt())
	})
	slices.SortStableFunc(p.Containers, func(a, b *Container) int {
		return cmp.Or(cmp.Compare(b.GetMetadata().GetAttempt(), a.GetMetadata().GetAttempt()), cmp.Compare(b.GetCreatedAt(), a.GetCreatedAt()))
	})
}

// UIDs returns the Pods that the runtime has a sandbox or a container of.
func (c *Client) UIDs(ctx context.Context) (map[types.UID]types.NamespacedName, error) {
	sandboxes, err := c.ListPodSandbox(ctx, &runtimev1.ListPodSandboxRequest{})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := c.ListContainers(ctx, &runtimev1.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	uids := map[types.UID]types.NamespacedName{}
	add := func(set map[string]string) {
		if uid := set[labels.KubernetesPodUIDLabel]; uid != "" {
			uids[types.UID(uid)] = types.NamespacedName{Namespace: set[labels.KubernetesPodNamespaceLabel], Name: set[labels.KubernetesPodNameLabel]}
		}
	}
	for _, s := range sandboxes.GetItems() {
		add(s.GetLabels())
	}
	for _, item := range containers.GetContainers() {
		add(item.GetLabels())
	}
	return uids, nil
}

// Gone tells whether the runtime answered that it does not have the thing.
func Gone(err error) bool { return status.Code(err) == codes.NotFound }

// Reason is what the runtime said, without gRPC's wrapping.
func Reason(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// GetId is the container's ID, empty for no container.
func (c *Container) GetId() string {
	if c == nil {
		return ""
	}
	return c.ContainerStatus.GetId()
}

// Limits is what the runtime says that the container has of CPU and memory, nil where it says nothing.
func (c *Container) Limits() *runtimev1.LinuxContainerResources {
	if c == nil {
		return nil
	}
	return c.GetResources().GetLinux()
}
