package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// A rule of a container may ask, by its exit code, that all containers of the Pod start anew (RestartAllContainers).
// Nothing has to be remembered for that: the end that asked for it divides the runs into former ones, made before it,
// and present ones. Former runs that go on are stopped, ephemeral containers too, without their hooks; then everything
// begins again with the init containers, in the same sandbox, and ephemeral containers stay ended.

// epoch is the time, in nanoseconds, of the last end that asked for all to start anew, and whose it was; 0 for none.
func epoch(pod *corev1.Pod, rt *runtime.Pod) (at int64, source *corev1.Container) {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if len(list[i].RestartPolicyRules) == 0 {
				continue
			}
			for _, run := range rt.Containers {
				if run.GetMetadata().GetName() == list[i].Name && run.Exited() && run.GetFinishedAt() > at && status.RestartsAll(&list[i], run.GetExitCode()) {
					at, source = run.GetFinishedAt(), &list[i]
				}
			}
		}
	}
	return at, source
}

// renewing tells whether the latest run of a container of the Pod, other than the ephemeral ones, is a former one.
func renewing(pod *corev1.Pod, rt *runtime.Pod) bool {
	if rt == nil {
		return false
	}
	at, _ := epoch(pod, rt)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if latest := rt.Latest(list[i].Name); latest != nil && latest.GetCreatedAt() < at {
				return true
			}
		}
	}
	return false
}

// former tells whether a run was made before all were to start anew.
func (p *picture) former(c *runtime.Container) bool { return c != nil && c.GetCreatedAt() < p.epoch }

// renew stops former runs; true says that nothing may be started yet.
func (d *decision) renew(p picture) bool {
	if p.epoch == 0 {
		return false
	}
	for _, c := range p.rt.Containers {
		if c.Running() && p.former(c) {
			d.kills = append(d.kills, kill{
				container: c, spec: specOf(p.pod, c.GetMetadata().GetName()), again: true, withoutHook: true,
				message: "Container " + c.GetMetadata().GetName() + " is stopped, as all containers of the pod are restarted",
			})
		}
	}
	if len(d.kills) > 0 {
		return true
	}
	if latest := p.rt.Latest(p.source.Name); p.former(latest) {
		ended := time.Unix(0, p.epoch)
		pause := p.pause(p.source, ended)
		if left := ended.Add(pause).Sub(p.now); left > 0 {
			d.backing[p.source.Name] = backing{pause: pause, left: left}
			return true
		}
	}
	return false
}
