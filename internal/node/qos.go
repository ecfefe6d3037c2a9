package node

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/resource"
)

// weighPause is how often the classes of service are weighed anew at most: it takes a look at every Pod.
const weighPause = time.Second

// keepWeighed gives the cgroups of the classes of service their shares of the CPU, at the start and when Pods come, change
// and go.
func (p *pods) keepWeighed(ctx context.Context) {
	if p.node.Cgroups == nil {
		return
	}
	weighed := map[string]int64{}
	for {
		var pods []*corev1.Pod
		for _, w := range p.List() {
			if object := w.Pod(); object.Status.Phase != corev1.PodSucceeded && object.Status.Phase != corev1.PodFailed {
				pods = append(pods, object)
			}
		}
		for name, shares := range resource.Weights(p.node.CgroupRoot, p.node.Slices, p.node.Allocatable, pods) {
			if weighed[name] == shares {
				continue
			}
			if err := p.node.Cgroups.LimitCgroup(ctx, name, &runtimev1.LinuxContainerResources{CpuShares: shares}); err != nil {
				slog.WarnContext(ctx, "a class of pods has not the share of the CPU that it is to have", "cgroup", name, "shares", shares, "err", err)
				continue
			}
			weighed[name] = shares
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(weighPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-p.unweighed:
		}
	}
}

// weigh has the classes of service weighed anew.
func (p *pods) weigh() {
	select {
	case p.unweighed <- struct{}{}:
	default:
	}
}
