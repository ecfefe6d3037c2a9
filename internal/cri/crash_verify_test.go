package cri

import (
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// seen is what a runtime tells after a crash.
type seen struct {
	pods       map[string]*runtimev1.PodSandbox // by name
	containers map[string]*runtimev1.Container
	known      map[string]bool // IDs that a client knows
}

// verify compares what the runtime tells with what the clients were told, who take its word where they are in doubt.
func (c *crash) verify(d *death) {
	c.Helper()
	if d.doomed != "" {
		c.settled(func() []string { return c.unaware(d) })
	}
	s := c.look()
	if d.kind == diskForgets {
		c.dropStrangers(s)
	}
	for _, client := range c.clients {
		client.verify(s, d)
	}
	for name, p := range s.pods {
		if !s.known[p.GetId()] {
			c.Errorf("sandbox %s is nobody's", name)
		}
	}
	for name, one := range s.containers {
		if !s.known[one.GetId()] {
			c.Errorf("container %s is nobody's", name)
		}
	}
	c.settled(func() []string { return c.orphans(s) })
	if c.Failed() {
		c.Logf("after the death of: %s %s", d.kind, d.doomed)
	}
}

func (c *crash) look() *seen {
	c.Helper()
	s := &seen{pods: map[string]*runtimev1.PodSandbox{}, containers: map[string]*runtimev1.Container{}, known: map[string]bool{}}
	pods, err := c.runtime.ListPodSandbox(c.Context(), &runtimev1.ListPodSandboxRequest{})
	if err != nil {
		c.Fatal(err)
	}
	for _, p := range pods.GetItems() {
		if s.pods[p.GetMetadata().GetName()] != nil {
			c.Errorf("sandbox %s is there twice", p.GetMetadata().GetName())
		}
		s.pods[p.GetMetadata().GetName()] = p
	}
	containers, err := c.runtime.ListContainers(c.Context(), &runtimev1.ListContainersRequest{})
	if err != nil {
		c.Fatal(err)
	}
	for _, one := range containers.GetContainers() {
		if s.containers[one.GetMetadata().GetName()] != nil {
			c.Errorf("container %s is there twice", one.GetMetadata().GetName())
		}
		s.containers[one.GetMetadata().GetName()] = one
	}
	return s
}

// unaware lists what the runtime still takes to be alive.
func (c *crash) unaware(d *death) []string {
	c.Helper()
	var wrong []string
	s := c.look()
	for name, pod := range s.pods {
		if d.kills(pod.GetId()) && pod.GetState() == runtimev1.PodSandboxState_SANDBOX_READY {
			wrong = append(wrong, "sandbox "+name+" is ready")
		}
	}
	for name, one := range s.containers {
		if d.kills(one.GetPodSandboxId()) && one.GetState() == runtimev1.ContainerState_CONTAINER_RUNNING {
			wrong = append(wrong, "container "+name+" is running")
		}
	}
	return wrong
}

// dropStrangers removes what a disk has brought back, and containers whose sandbox it has forgotten.
func (c *crash) dropStrangers(s *seen) {
	c.Helper()
	pods, containers := map[string]bool{}, map[string]bool{}
	for _, client := range c.clients {
		for _, pod := range client.pods {
			pods[pod.name] = true
			for _, one := range pod.containers {
				containers[one.name] = s.pods[pod.name] != nil
			}
		}
	}
	for name, one := range s.containers {
		if containers[name] {
			continue
		}
		if _, err := c.runtime.RemoveContainer(c.Context(), &runtimev1.RemoveContainerRequest{ContainerId: one.GetId()}); err != nil {
			c.Errorf("container %s, which the disk has brought back: %v", name, err)
		}
		delete(s.containers, name)
	}
	for name, pod := range s.pods {
		if pods[name] {
			continue
		}
		if _, err := c.runtime.RemovePodSandbox(c.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod.GetId()}); err != nil {
			c.Errorf("sandbox %s, which the disk has brought back: %v", name, err)
		}
		delete(s.pods, name)
	}
}

func (c *crashClient) verify(s *seen, d *death) {
	c.Helper()
	for _, f := range c.failures { // a sandbox whose making failed has no ID
		if d.doomed == "" || f.pod.id != "" && !d.kills(f.pod.id) || status.Code(f.err) == codes.DeadlineExceeded {
			c.Errorf("%s: %+v in %s %+v: %v", d.kind, f.what, f.pod.handler, f.pod.crashContainer, f.err)
		}
	}
	c.failures = nil
	for _, pod := range c.pods {
		c.verifyPod(s, d, pod)
		for _, one := range pod.containers {
			c.verifyContainer(s, d, pod, one)
		}
	}
	c.forget()
}

func (c *crashClient) verifyPod(s *seen, d *death, pod *crashPod) {
	c.Helper()
	found := s.pods[pod.name]
	ready := found.GetState() == runtimev1.PodSandboxState_SANDBOX_READY
	ending := pod.told == stopped || pod.doubt == stopped || pod.doubt == removed
	switch {
	case found == nil && (pod.doubt == removed || pod.doubt == made || d.kind == diskForgets):
		pod.told = removed
	case found == nil:
		c.Errorf("sandbox %s is lost: %+v", pod.name, pod.crashContainer)
		pod.told = removed
	case pod.id != "" && found.GetId() != pod.id:
		c.Errorf("sandbox %s is another: %s", pod.name, found.GetId())
	case ready && (pod.told == stopped || d.kills(found.GetId())), !ready && pod.told == made && pod.doubt == nothing && !d.kills(pod.id):
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
	// A Pod that is stopped or removed takes its containers with it, one after the other.
	for _, one := range pod.containers {
		if ending {
			one.doubt = max(pod.doubt, stopped)
		}
		if pod.told == removed {
			one.doubt = removed
		}
	}
	pod.doubt = nothing
}

func (c *crashClient) verifyContainer(s *seen, d *death, pod *crashPod, one *crashContainer) {
	c.Helper()
	found := s.containers[one.name]
	if found == nil {
		if one.doubt != removed && one.doubt != made && d.kind != diskForgets {
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
	if d.kind != diskForgets && !one.canBe(now, d.kills(pod.id)) || now == running && d.kills(pod.id) {
		c.Errorf("container %s is %v: %+v in %+v", one.name, found.GetState(), *one, pod.crashContainer)
	}
	if one.told == running && one.doubt < stopped && now == stopped {
		c.verifyEnd(d, one)
	}
	c.verifyRuns(d, one, now)
	one.told, one.doubt = now, nothing
}

// canBe tells whether a container can be what it is now, from what a client was told; dead says that its monitor is.
func (one *crashContainer) canBe(now told, dead bool) bool {
	reach := max(one.told, one.doubt)
	if reach == running && (dead || one.told == made) { // it ran, or its start failed
		reach = stopped
	}
	least := one.told
	if dead && least == running {
		least = stopped
	}
	return least <= now && now <= reach
}

// verifyEnd: nobody saw the end of a container that died with its monitor.
func (c *crashClient) verifyEnd(d *death, one *crashContainer) {
	c.Helper()
	answer, err := c.runtime.ContainerStatus(c.Context(), &runtimev1.ContainerStatusRequest{ContainerId: one.id})
	if err != nil {
		c.Error(err)
		return
	}
	end := answer.GetStatus()
	lost := end.GetReason() == "Lost" && end.GetExitCode() == 255 && end.GetMessage() != ""
	killed := end.GetReason() == "Error" && end.GetExitCode() == 137 // with the pause process, whose monitor saw it
	if !lost && (!killed || d.power()) || end.GetFinishedAt() < end.GetStartedAt() {
		c.Errorf("end of container %s: %v", one.name, end)
	}
}

// verifyRuns: one that was never started has never run, one that runs has once, and takes commands.
func (c *crashClient) verifyRuns(d *death, one *crashContainer, now told) {
	c.Helper()
	if now == running {
		if _, err := c.runtime.ExecSync(c.Context(), &runtimev1.ExecSyncRequest{ContainerId: one.id, Cmd: []string{"true"}, Timeout: 30}); err != nil {
			c.Errorf("container %s: %v", one.name, err)
		}
		c.until("container "+one.name+" has run", func() bool { return c.ran(one) > 0 })
	}
	if n := c.ran(one); n > 1 || now == made && n != 0 && d.kind != diskForgets || now == running && n != 1 {
		c.Errorf("container %s ran %d times: %+v", one.name, n, *one)
	}
	if now == made { // else the disk has forgotten its start
		_ = os.Remove(filepath.Join(c.count, one.name))
	}
}
