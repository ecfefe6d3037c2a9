package pod

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/status"
)

// A static Pod is asked for by a file of the node, not by the API, which merely has a mirror of it. So its Worker is
// never told of updates: its status is written to the mirror, whichever there is, and it ends by Delete alone.

// NewStatic returns the Worker of a static Pod. The mirror, if there is one, tells how the Pod was doing when the agent
// was last here.
func NewStatic(node *Node, pod, mirror *corev1.Pod) *Worker {
	seen := *pod
	if mirror != nil {
		seen.Status = mirror.Status
	}
	w := New(node, &seen)
	w.static = true
	w.writer = status.NewDetached(node.Client.CoreV1(), &seen)
	return w
}

// Mirror gives the Worker of a static Pod the API's newest word about its mirror.
func (w *Worker) Mirror(ctx context.Context, mirror *corev1.Pod) {
	w.writer.Rebase(ctx, mirror)
	w.Wake()
}
