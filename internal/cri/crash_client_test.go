package cri

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// What a client was told of a container or a Pod.
type told int

const (
	nothing told = iota // it asked for it
	made                // created, or a Pod that is ready
	running
	stopped
	removed
)

// crashContainer is what a client knows; doubt says that a call was cut off that would have led to that.
type crashContainer struct {
	name, id    string
	told, doubt told
}

type crashPod struct {
	crashContainer
	config     *runtimev1.PodSandboxConfig
	handler    string
	containers []*crashContainer
}

// failure is a call that was answered with an error.
type failure struct {
	pod  *crashPod
	what crashContainer
	err  error
}

// crashClient does one thing after another with Pods of its own.
type crashClient struct {
	*crash
	random        *rand.Rand
	count, prefix string
	handlers      []string
	next          int
	pods          []*crashPod
	calls, cut    int
	failures      []failure
}

func (c *crashClient) name() string {
	c.next++
	return c.prefix + strconv.Itoa(c.next)
}

// work goes on until the runtime dies or a call fails.
func (c *crashClient) work(r *process, halt *atomic.Bool) {
	for !halt.Load() && c.step(r) {
		select {
		case c.answered <- struct{}{}:
		default:
		}
	}
}

// step does one thing, and tells whether it was answered well.
func (c *crashClient) step(r *process) bool {
	if len(c.pods) < 2 {
		return c.runPod(r)
	}
	pod := c.pods[c.random.IntN(len(c.pods))]
	if pod.told != made {
		return c.removePod(r, pod)
	}
	if len(pod.containers) < 3 {
		return c.create(r, pod)
	}
	one := pod.containers[c.random.IntN(len(pod.containers))]
	switch choice := c.random.IntN(20); {
	case choice == 0:
		return c.try(pod, &pod.crashContainer, stopped, func(ctx context.Context) error {
			_, err := r.StopPodSandbox(ctx, &runtimev1.StopPodSandboxRequest{PodSandboxId: pod.id})
			return err
		})
	case choice == 1:
		return c.removePod(r, pod)
	case one.told == made:
		return c.try(pod, one, running, func(ctx context.Context) error {
			_, err := r.StartContainer(ctx, &runtimev1.StartContainerRequest{ContainerId: one.id})
			return err
		})
	case one.told == running && choice < 7:
		return c.try(pod, one, running, func(ctx context.Context) error {
			_, err := r.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: one.id, Cmd: []string{"true"}, Timeout: 30})
			return err
		})
	case one.told == running && choice < 14:
		return c.try(pod, one, stopped, func(ctx context.Context) error {
			_, err := r.StopContainer(ctx, &runtimev1.StopContainerRequest{ContainerId: one.id})
			return err
		})
	}
	alive := c.try(pod, one, removed, func(ctx context.Context) error {
		_, err := r.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: one.id})
		return err
	})
	c.forget()
	return alive
}

// try makes a call that leads to what, and notes whether it did.
func (c *crashClient) try(pod *crashPod, one *crashContainer, what told, call func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	one.doubt = what
	err := call(ctx)
	switch code := status.Code(err); {
	case err == nil:
		c.calls++
		one.told, one.doubt = what, nothing
		return true
	case code == codes.Unavailable || code == codes.Canceled:
		c.cut++
	default:
		c.failures = append(c.failures, failure{pod: pod, what: *one, err: err})
	}
	return false
}

func (c *crashClient) runPod(r *process) bool {
	pod := &crashPod{crashContainer: crashContainer{name: c.name()}}
	pod.config = &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: pod.name, Namespace: "default", Uid: pod.name}, LogDirectory: filepath.Join(c.logs, pod.name),
		Linux: &runtimev1.LinuxPodSandboxConfig{SecurityContext: &runtimev1.LinuxSandboxSecurityContext{NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER}}},
	}
	options := pod.config.Linux.SecurityContext.NamespaceOptions
	switch c.random.IntN(4) {
	case 0:
		options.Pid = runtimev1.NamespaceMode_POD
	case 1:
		options.Network = runtimev1.NamespaceMode_NODE
	case 2:
		if len(c.handlers) > 0 {
			pod.handler = c.handlers[0]
		}
	}
	c.pods = append(c.pods, pod)
	return c.try(pod, &pod.crashContainer, made, func(ctx context.Context) error {
		answer, err := r.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: pod.config, RuntimeHandler: pod.handler})
		pod.id = answer.GetPodSandboxId()
		return err
	})
}

// create makes a container that leaves a mark each time that it runs.
func (c *crashClient) create(r *process, pod *crashPod) bool {
	one := &crashContainer{name: c.name()}
	pod.containers = append(pod.containers, one)
	return c.try(pod, one, made, func(ctx context.Context) error {
		answer, err := r.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: pod.id, SandboxConfig: pod.config, Config: &runtimev1.ContainerConfig{
			Metadata: &runtimev1.ContainerMetadata{Name: one.name}, Image: &runtimev1.ImageSpec{Image: busybox},
			Command: []string{"sh", "-c", "echo ran >>/count/" + one.name + "; exec sleep 1000"}, LogPath: one.name + ".log",
			Mounts: []*runtimev1.Mount{{ContainerPath: "/count", HostPath: c.count}, {ContainerPath: "/image", Readonly: true, Image: &runtimev1.ImageSpec{Image: busybox}}},
			Linux:  &runtimev1.LinuxContainerConfig{SecurityContext: &runtimev1.LinuxContainerSecurityContext{NamespaceOptions: pod.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
		}})
		one.id = answer.GetContainerId()
		return err
	})
}

func (c *crashClient) removePod(r *process, pod *crashPod) bool {
	alive := c.try(pod, &pod.crashContainer, removed, func(ctx context.Context) error {
		_, err := r.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod.id})
		return err
	})
	c.forget()
	return alive
}

// forget drops what is removed.
func (c *crashClient) forget() {
	pods := c.pods[:0]
	for _, pod := range c.pods {
		if pod.told == removed {
			continue
		}
		pods = append(pods, pod)
		kept := pod.containers[:0]
		for _, one := range pod.containers {
			if one.told != removed {
				kept = append(kept, one)
			}
		}
		pod.containers = kept
	}
	c.pods = pods
}

// ran is how often a container's program was started.
func (c *crashClient) ran(one *crashContainer) int {
	content, _ := os.ReadFile(filepath.Join(c.count, one.name))
	return strings.Count(string(content), "ran")
}
