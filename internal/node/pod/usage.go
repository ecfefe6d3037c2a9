package pod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/status"
	"github.com/mayfly-run/mayfly/internal/node/volume"
)

// usagePeriod is how often the size of limited emptyDirs is looked at, as by the kubelet.
const usagePeriod = 10 * time.Second

const reasonEvicted = "Evicted"

// watchUsage looks at the size of the Pod's limited volumes now and then, and returns when to look again.
func (w *Worker) watchUsage(ctx context.Context) time.Duration {
	if !volume.Limited(w.spec) {
		return refreshPeriod
	}
	if left := time.Until(w.measured.Add(usagePeriod)); left > 0 {
		return left
	}
	w.measured = time.Now()
	pod := w.spec
	w.spawnKnown(ctx, taskUsage, func(ctx context.Context) bool {
		name, limit := w.Volumes.Overfull(ctx, pod)
		if name == "" || ctx.Err() != nil {
			return true
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.verdict == nil {
			w.verdict = &status.Verdict{Reason: reasonEvicted, Message: fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", name, limit.String())}
			w.Recorder.Event(pod, corev1.EventTypeWarning, reasonEvicted, w.verdict.Message)
		}
		return true
	})
	return usagePeriod
}
