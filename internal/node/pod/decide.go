package pod

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// picture is what a decision depends on.
type picture struct {
	pod *corev1.Pod
	// last is the newest status, which outlives what the runtime has forgotten.
	last *corev1.PodStatus
	rt   *runtime.Pod
	now  time.Time
	// pause is the back-off of a container, counted from its end.
	pause func(c *corev1.Container, ended time.Time) time.Duration
	// forced tells that a container was killed in order to be started again.
	forced func(id string) bool
	// started tells whether a running container has passed its startup probe.
	started func(name string) bool
	// failed names the probe that a running container failed for good, or is empty.
	failed func(name string) probe.Kind
	// epoch is when all containers were last asked to start anew, source the one whose rule did; see renew.go.
	epoch  int64
	source *corev1.Container
}

// start is a container to be started.
type start struct {
	container *corev1.Container
	ephemeral *corev1.EphemeralContainer
	attempt   uint32
	// stale is a container that was created but never started, to be removed first; an ephemeral one is started
	// as it is.
	stale *runtime.Container
}

// kill is a container to be stopped, and started again if the policy allows.
type kill struct {
	container *runtime.Container
	spec      *corev1.Container
	message   string
	again     bool
	// probe is the one that failed, if that is why.
	probe probe.Kind
	// withoutHook says that preStop is not run.
	withoutHook bool
}

// decision is what is to be done next.
type decision struct {
	// sandbox says that the Pod needs a new one; everything that runs outside it is in kills.
	sandbox bool
	starts  []start
	kills   []kill
	resizes []resize
	// backing holds the containers that wait for the end of their back-off, and how long.
	backing map[string]backing
}

type backing struct{ pause, left time.Duration }

// decide applies the rules. The order of init containers, their restarts, and sidecars are as the kubelet has them.
func decide(p picture) decision {
	d := decision{backing: map[string]backing{}}
	sandbox := p.rt.Sandbox()
	if sandbox == nil {
		d.sandbox = p.wantsSandbox()
		if d.sandbox {
			d.killStrays(p, "")
		}
		return d
	}
	d.killStrays(p, sandbox.GetId())
	d.ephemerals(p)
	if d.renew(p) {
		return d
	}
	if p.initialized(sandbox.GetId()) || d.inits(p) {
		d.sidecars(p)
		for i := range p.pod.Spec.Containers {
			d.container(p, &p.pod.Spec.Containers[i])
		}
	}
	return d
}

// wantsSandbox tells whether anything is left to run in one.
func (p *picture) wantsSandbox() bool {
	for i := range p.pod.Spec.Containers {
		c := &p.pod.Spec.Containers[i]
		code, ended := p.exit(c.Name)
		if !ended || status.Restarts(p.pod, c, code) {
			return p.initCanGoOn()
		}
	}
	return false
}

// initCanGoOn is false when an init container failed for good.
func (p *picture) initCanGoOn() bool {
	for i := range p.pod.Spec.InitContainers {
		c := &p.pod.Spec.InitContainers[i]
		if code, ended := p.exit(c.Name); ended && code != 0 && !status.Sidecar(c) && !status.Restarts(p.pod, c, code) {
			return false
		}
	}
	return true
}

// exit tells how a container ended, from the runtime or else the status. A container that runs has not ended.
func (p *picture) exit(name string) (code int32, ended bool) {
	if c := p.rt.Latest(name); c != nil {
		return c.GetExitCode(), c.Exited()
	}
	for _, list := range [][]corev1.ContainerStatus{p.last.InitContainerStatuses, p.last.ContainerStatuses} {
		if s := status.Find(list, name); s != nil && s.State.Terminated != nil {
			return s.State.Terminated.ExitCode, true
		}
	}
	return 0, false
}

// killStrays stops what runs in another sandbox than the present one.
func (d *decision) killStrays(p picture, sandbox string) {
	for _, c := range p.rt.Containers {
		if c.Running() && c.SandboxID != sandbox {
			d.kills = append(d.kills, kill{container: c, spec: specOf(p.pod, c.GetMetadata().GetName()), message: "Pod sandbox changed, it will be killed and re-created.", again: true})
		}
	}
}

// ephemerals starts those that nobody has ever known.
func (d *decision) ephemerals(p picture) {
	for i := range p.pod.Spec.EphemeralContainers {
		e := &p.pod.Spec.EphemeralContainers[i]
		c := corev1.Container(e.EphemeralContainerCommon)
		latest := p.rt.Latest(e.Name)
		switch {
		case latest == nil && !everKnown(p.last, e.Name):
			d.starts = append(d.starts, start{container: &c, ephemeral: e})
		case latest != nil && !latest.Running() && !latest.Exited() && latest.SandboxID == p.rt.Sandbox().GetId():
			d.starts = append(d.starts, start{container: &c, ephemeral: e, stale: latest})
		}
	}
}

// everKnown tells whether the status knows that the ephemeral container was made once.
func everKnown(s *corev1.PodStatus, name string) bool {
	c := status.Find(s.EphemeralContainerStatuses, name)
	return c != nil && (c.ContainerID != "" || c.State.Running != nil || c.State.Terminated != nil)
}

// initialized tells whether an application container was made in this sandbox already.
func (p *picture) initialized(sandbox string) bool {
	for i := range p.pod.Spec.Containers {
		for _, c := range p.rt.Containers {
			if c.SandboxID == sandbox && !p.former(c) && c.GetMetadata().GetName() == p.pod.Spec.Containers[i].Name {
				return true
			}
		}
	}
	return false
}

// inits starts the init container whose turn it is; true says that all are through.
func (d *decision) inits(p picture) bool {
	sandbox := p.rt.Sandbox().GetId()
	for i := range p.pod.Spec.InitContainers {
		c := &p.pod.Spec.InitContainers[i]
		latest := p.rt.Latest(c.Name)
		here := latest != nil && latest.SandboxID == sandbox && !p.former(latest)
		if status.Sidecar(c) {
			d.container(p, c)
			if !here || !latest.Running() || !p.started(c.Name) {
				return false
			}
			continue
		}
		switch {
		case !here, !latest.Running() && !latest.Exited():
			d.fresh(p, c)
			return false
		case latest.Running():
			d.changed(p, c, latest)
			return false
		case latest.GetExitCode() != 0:
			d.ended(p, c, latest)
			return false
		}
	}
	return true
}

// sidecars keeps the restartable init containers running once the Pod is initialized.
func (d *decision) sidecars(p picture) {
	for i := range p.pod.Spec.InitContainers {
		if c := &p.pod.Spec.InitContainers[i]; status.Sidecar(c) && !d.starting(c.Name) {
			d.container(p, c)
		}
	}
}

func (d *decision) starting(name string) bool {
	for _, s := range d.starts {
		if s.container.Name == name {
			return true
		}
	}
	for _, k := range d.kills {
		if k.container.GetMetadata().GetName() == name {
			return true
		}
	}
	_, ok := d.backing[name]
	return ok
}

// container decides about one that should run.
func (d *decision) container(p picture, c *corev1.Container) {
	latest := p.rt.Latest(c.Name)
	switch {
	case latest == nil:
		if code, ended := p.exit(c.Name); ended && !status.Restarts(p.pod, c, code) {
			return // forgotten by the runtime, but done
		}
		d.fresh(p, c)
	case p.former(latest):
		d.fresh(p, c)
	case latest.Exited():
		d.ended(p, c, latest)
	case latest.Running():
		d.changed(p, c, latest)
	default:
		d.fresh(p, c)
	}
}

// fresh starts a container without any back-off.
func (d *decision) fresh(p picture, c *corev1.Container) {
	s := start{container: c}
	latest := p.rt.Latest(c.Name)
	switch {
	case latest == nil:
		s.attempt = attemptAfter(p.last, c.Name)
	case latest.Exited():
		s.attempt = latest.GetMetadata().GetAttempt() + 1
	default:
		s.stale, s.attempt = latest, latest.GetMetadata().GetAttempt()
	}
	d.starts = append(d.starts, s)
}

// attemptAfter is the number of the next run of a container that the runtime does not know.
func attemptAfter(s *corev1.PodStatus, name string) uint32 {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		if c := status.Find(list, name); c != nil && (c.ContainerID != "" || c.LastTerminationState.Terminated != nil) {
			return uint32(c.RestartCount) + 1
		}
	}
	return 0
}

// ended starts a container again if the policy says so and its back-off is over.
func (d *decision) ended(p picture, c *corev1.Container, latest *runtime.Container) {
	policy := p.pod.Spec.RestartPolicy
	again := status.Restarts(p.pod, c, latest.GetExitCode()) || p.forced(latest.GetId()) && policy != corev1.RestartPolicyNever
	if !again {
		return
	}
	ended := time.Unix(0, latest.GetFinishedAt())
	if latest.GetFinishedAt() == 0 {
		ended = p.now
	}
	pause := p.pause(c, ended)
	if left := ended.Add(pause).Sub(p.now); left > 0 {
		d.backing[c.Name] = backing{pause: pause, left: left}
		return
	}
	d.fresh(p, c)
}

// changed kills a running container whose probe or definition demands it.
func (d *decision) changed(p picture, c *corev1.Container, latest *runtime.Container) {
	if hash := latest.GetAnnotations()[annotationHash]; hash != "" && hash != Hash(c) {
		d.kills = append(d.kills, kill{container: latest, spec: c, message: "Container " + c.Name + " definition changed, will be restarted", again: true})
		return
	}
	if which := p.failed(c.Name); which != "" {
		d.kills = append(d.kills, kill{container: latest, spec: c, message: "Container " + c.Name + " failed " + strings.ToLower(string(which)) + " probe, will be restarted", again: true, probe: which})
		return
	}
	d.resized(c, latest)
}

// Hash tells definitions of a container apart by what may be changed while it runs: its image.
func Hash(c *corev1.Container) string {
	h := fnv.New32a()
	h.Write([]byte(c.Name + "\x00" + c.Image))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// specOf finds a container of the Pod by name, of whichever kind; nil if there is none.
func specOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return (*corev1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		}
	}
	return nil
}
