package cri

import (
	"path/filepath"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// seen is what a runtime tells after a crash.
type seen struct {
	pods       map[string]*runtimev1.PodSandbox // by name
	containers map[string]*runtimev1.Container
	known      map[string]bool // IDs that a client knows
}

// verifyAll compares what a runtime tells with what the clients were told, who take its word where they are in doubt.
func verifyAll(f *fixture, r *process, clients []*crashClient) {
	f.Helper()
	s := seen{pods: map[string]*runtimev1.PodSandbox{}, containers: map[string]*runtimev1.Container{}, known: map[string]bool{}}
	pods, err := r.ListPodSandbox(f.Context(), &runtimev1.ListPodSandboxRequest{})
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range pods.GetItems() {
		if s.pods[p.GetMetadata().GetName()] != nil {
			f.Errorf("sandbox %s is there twice", p.GetMetadata().GetName())
		}
		s.pods[p.GetMetadata().GetName()] = p
	}
	containers, err := r.ListContainers(f.Context(), &runtimev1.ListContainersRequest{})
	if err != nil {
		f.Fatal(err)
	}
	for _, one := range containers.GetContainers() {
		if s.containers[one.GetMetadata().GetName()] != nil {
			f.Errorf("container %s is there twice", one.GetMetadata().GetName())
		}
		s.containers[one.GetMetadata().GetName()] = one
	}
	for _, c := range clients {
		c.verify(r, &s)
	}
	for name, p := range s.pods {
		if !s.known[p.GetId()] {
			f.Errorf("sandbox %s is nobody's", name)
		}
	}
	for name, one := range s.containers {
		if !s.known[one.GetId()] {
			f.Errorf("container %s is nobody's", name)
		}
	}
}

func (c *crashClient) verify(r *process, s *seen) {
	c.Helper()
	for _, pod := range c.pods {
		c.verifyPod(s, pod)
		for _, one := range pod.containers {
			c.verifyContainer(r, s, pod, one)
		}
		c.forget(pod)
	}
	c.forget(nil)
	for _, id := range c.gone {
		c.vanished(id)
	}
	c.gone = nil
}

func (c *crashClient) verifyPod(s *seen, pod *crashPod) {
	c.Helper()
	found := s.pods[pod.name]
	ready := found.GetState() == runtimev1.PodSandboxState_SANDBOX_READY
	switch {
	case found == nil && (pod.doubt == removed || pod.doubt == made):
		pod.told = removed
	case found == nil:
		c.Errorf("sandbox %s is lost: %+v", pod.name, pod.crashContainer)
		pod.told = removed
	case pod.id != "" && found.GetId() != pod.id:
		c.Errorf("sandbox %s is another: %s", pod.name, found.GetId())
	case pod.told == made && pod.doubt == nothing && !ready, pod.told == stopped && ready:
		c.Errorf("sandbox %s is %v: %+v", pod.name, found.GetState(), pod.crashContainer)
	case ready:
		pod.told = made
	default:
		pod.told = stopped
	}
	if found != nil {
		pod.id = found.GetId()
		s.known[pod.id] = true
	}
	// A Pod that was being stopped or removed takes its containers with it, one after the other.
	for _, one := range pod.containers {
		if pod.doubt == removed || pod.doubt == stopped || pod.told != made {
			one.doubt = removed
			if pod.told == made || pod.told == stopped {
				one.doubt = max(pod.doubt, stopped)
			}
		}
	}
	pod.doubt = nothing
}

func (c *crashClient) verifyContainer(r *process, s *seen, pod *crashPod, one *crashContainer) {
	c.Helper()
	found := s.containers[one.name]
	if found == nil {
		if one.doubt != removed && one.doubt != made {
			c.Errorf("container %s is lost: %+v in %+v", one.name, *one, pod.crashContainer)
		}
		one.told, one.doubt = removed, nothing
		return
	}
	s.known[found.GetId()] = true
	if one.id != "" && one.id != found.GetId() || found.GetPodSandboxId() != pod.id {
		c.Errorf("container %s is another: %v", one.name, found)
	}
	one.id = found.GetId()
	now := map[runtimev1.ContainerState]told{
		runtimev1.ContainerState_CONTAINER_CREATED: made, runtimev1.ContainerState_CONTAINER_RUNNING: running, runtimev1.ContainerState_CONTAINER_EXITED: stopped,
	}[found.GetState()]
	if now != one.told && (now < one.told || now > max(one.doubt, one.told)) && !(one.doubt == running && one.told == made && now == stopped) {
		c.Errorf("container %s is %v: %+v in %+v", one.name, found.GetState(), *one, pod.crashContainer)
	}
	c.verifyRuns(r, one, now)
	one.told, one.doubt = now, nothing
}

// verifyRuns: one that was never started has never run, one that runs has once, and takes commands.
func (c *crashClient) verifyRuns(r *process, one *crashContainer, now told) {
	c.Helper()
	if now == running {
		if _, err := r.ExecSync(c.Context(), &runtimev1.ExecSyncRequest{ContainerId: one.id, Cmd: []string{"true"}, Timeout: 30}); err != nil {
			c.Errorf("container %s: %v", one.name, err)
		}
		for deadline := time.Now().Add(20 * time.Second); c.ran(one) == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if n := c.ran(one); n > 1 || now == made && n != 0 || now == running && n != 1 {
		c.Errorf("container %s ran %d times: %+v", one.name, n, *one)
	}
}

// vanished looks for what is left of a removed sandbox or container.
func (c *crashClient) vanished(id string) {
	c.Helper()
	if id == "" {
		return
	}
	for _, pattern := range []string{
		c.cfg.RootDir + "/*/" + id, c.cfg.RootDir + "/state/*/" + id + ".json", c.cfg.RunDir + "/*/" + id + "*",
		"/sys/fs/cgroup/*/mayfly-" + c.cfg.InstanceID + "/" + id, "/sys/fs/cgroup/*/mayfly-" + c.cfg.InstanceID + "/*/" + id,
	} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			c.Errorf("left of %s: %v, %v", id, left, err)
		}
	}
}
