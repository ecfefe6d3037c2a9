package cri

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The test of crashes takes its number of rounds and the seed of its choices from these.
const (
	crashRounds = "MAYFLY_CRASH_ROUNDS"
	crashSeed   = "MAYFLY_CRASH_SEED"
)

// longestLife is how long a runtime lives at most before it is killed.
const longestLife = 250 * time.Millisecond

// TestCrashes kills the runtime at random moments while clients make, start, run things in, stop and remove Pods and
// containers. The next one must know all that a client was told, have nothing twice, and have nothing of what is gone.
func TestCrashes(t *testing.T) {
	rounds, seed := number(t, crashRounds, 12), uint64(number(t, crashSeed, int(time.Now().UnixNano()%1e9)))
	t.Logf("%s=%d %s=%d", crashRounds, rounds, crashSeed, seed)
	f := newFixture(t)
	f.stop()
	count := t.TempDir()
	var clients []*crashClient
	for i := range 3 {
		clients = append(clients, &crashClient{fixture: f, random: rand.New(rand.NewPCG(seed, uint64(i))), count: count, prefix: fmt.Sprintf("c%d-", i)})
	}
	random := rand.New(rand.NewPCG(seed, 99))
	for round := range rounds {
		runtime := f.spawn()
		verifyAll(f, runtime, clients)
		if t.Failed() {
			runtime.kill()
			t.Fatalf("in round %d", round)
		}
		var work sync.WaitGroup
		for _, c := range clients {
			work.Go(func() { c.work(runtime) })
		}
		time.Sleep(time.Duration(random.Int64N(int64(longestLife))))
		runtime.kill()
		work.Wait()
	}
	for _, c := range clients {
		t.Logf("%d calls were answered, %d cut off", c.calls, c.cut)
	}
	runtime := f.spawn()
	defer runtime.kill()
	verifyAll(f, runtime, clients)
	list, err := runtime.ListPodSandbox(t.Context(), &runtimev1.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, box := range list.GetItems() {
		if _, err := runtime.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: box.GetId()}); err != nil {
			t.Error(err)
		}
	}
	f.empty()
}

func number(t *testing.T, name string, otherwise int) int {
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// empty looks for what is left once every sandbox is removed.
func (f *fixture) empty() {
	f.Helper()
	for _, pattern := range []string{
		f.cfg.RootDir + "/state/containers/*", f.cfg.RootDir + "/state/sandboxes/*", f.cfg.RootDir + "/state/quarantine/*", f.cfg.RootDir + "/containers/*", f.cfg.RootDir + "/sandboxes/*",
		f.cfg.RunDir + "/netns/*", f.cfg.RunDir + "/ns/*", f.cfg.RunDir + "/shm/*", f.cfg.RunDir + "/monitor/*",
		"/sys/fs/cgroup/*/mayfly-" + f.cfg.InstanceID + "/" + strings.Repeat("[0-9a-f]", 64),
	} {
		left, err := filepath.Glob(pattern)
		if err != nil || len(left) > 0 {
			f.Errorf("left behind: %v, %v", left, err)
		}
	}
}

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
	containers []*crashContainer
}

// crashClient does one thing after another with Pods of its own.
type crashClient struct {
	*fixture
	random        *rand.Rand
	count, prefix string
	next          int
	pods          []*crashPod
	calls, cut    int
	gone          []string // IDs
}

func (c *crashClient) name() string {
	c.next++
	return c.prefix + strconv.Itoa(c.next)
}

// work goes on until the runtime dies.
func (c *crashClient) work(r *process) {
	for c.step(r) {
	}
}

// step tells whether the runtime lives.
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
		return c.try(&pod.crashContainer, stopped, func(ctx context.Context) error {
			_, err := r.StopPodSandbox(ctx, &runtimev1.StopPodSandboxRequest{PodSandboxId: pod.id})
			return err
		})
	case choice == 1:
		return c.removePod(r, pod)
	case one.told == made:
		return c.try(one, running, func(ctx context.Context) error {
			_, err := r.StartContainer(ctx, &runtimev1.StartContainerRequest{ContainerId: one.id})
			return err
		})
	case one.told == running && choice < 10:
		return c.try(one, running, func(ctx context.Context) error {
			_, err := r.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: one.id, Cmd: []string{"true"}, Timeout: 30})
			return err
		})
	case one.told == running && choice < 16:
		return c.try(one, stopped, func(ctx context.Context) error {
			_, err := r.StopContainer(ctx, &runtimev1.StopContainerRequest{ContainerId: one.id})
			return err
		})
	}
	alive := c.try(one, removed, func(ctx context.Context) error {
		_, err := r.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: one.id})
		return err
	})
	c.forget(pod)
	return alive
}

// try makes a call that leads to what, and notes whether it did; false when the runtime died before it answered.
func (c *crashClient) try(one *crashContainer, what told, call func(ctx context.Context) error) bool {
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
		return false
	}
	c.Errorf("%s (%v to %v): %v", one.name, one.told, what, err)
	return false
}

func (c *crashClient) runPod(r *process) bool {
	pod := &crashPod{crashContainer: crashContainer{name: c.name()}}
	pod.config = &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: pod.name, Namespace: "default", Uid: pod.name}, Hostname: pod.name, LogDirectory: filepath.Join(c.logs, pod.name),
	}
	c.pods = append(c.pods, pod)
	return c.try(&pod.crashContainer, made, func(ctx context.Context) error {
		answer, err := r.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: pod.config})
		pod.id = answer.GetPodSandboxId()
		return err
	})
}

// create makes a container that leaves a mark each time that it runs.
func (c *crashClient) create(r *process, pod *crashPod) bool {
	one := &crashContainer{name: c.name()}
	pod.containers = append(pod.containers, one)
	return c.try(one, made, func(ctx context.Context) error {
		answer, err := r.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: pod.id, SandboxConfig: pod.config, Config: &runtimev1.ContainerConfig{
			Metadata: &runtimev1.ContainerMetadata{Name: one.name}, Image: &runtimev1.ImageSpec{Image: busybox},
			Command: []string{"sh", "-c", "echo ran >>/count/" + one.name + "; exec sleep 1000"}, LogPath: one.name + ".log",
			Mounts: []*runtimev1.Mount{{ContainerPath: "/count", HostPath: c.count}, {ContainerPath: "/image", Readonly: true, Image: &runtimev1.ImageSpec{Image: busybox}}},
		}})
		one.id = answer.GetContainerId()
		return err
	})
}

func (c *crashClient) removePod(r *process, pod *crashPod) bool {
	alive := c.try(&pod.crashContainer, removed, func(ctx context.Context) error {
		_, err := r.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod.id})
		return err
	})
	c.forget(nil)
	return alive
}

// forget drops what is removed, in a Pod or of Pods.
func (c *crashClient) forget(pod *crashPod) {
	if pod == nil {
		kept := c.pods[:0]
		for _, p := range c.pods {
			if p.told != removed {
				kept = append(kept, p)
				continue
			}
			c.gone = append(c.gone, p.id)
			for _, one := range p.containers {
				c.gone = append(c.gone, one.id)
			}
		}
		c.pods = kept
		return
	}
	kept := pod.containers[:0]
	for _, one := range pod.containers {
		if one.told == removed {
			c.gone = append(c.gone, one.id)
		} else {
			kept = append(kept, one)
		}
	}
	pod.containers = kept
}

// ran is how often a container's program was started.
func (c *crashClient) ran(one *crashContainer) int {
	content, _ := os.ReadFile(filepath.Join(c.count, one.name))
	return strings.Count(string(content), "ran")
}
