package node

import (
	"context"
	"log/slog"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

const leaseSeconds = 40

// keepLease renews the node's Lease until ctx ends: the sign of life that a node controller looks at.
func (a *Agent) keepLease(ctx context.Context) {
	own := func(l *coordinationv1.Lease) error {
		if len(l.OwnerReferences) > 0 {
			return nil
		}
		node, err := a.client.CoreV1().Nodes().Get(ctx, a.cfg.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
		return nil
	}
	failing := func() { slog.WarnContext(ctx, "node lease cannot be renewed", "node", a.cfg.NodeName) }
	lease.NewController(clock.RealClock{}, a.client, a.cfg.NodeName, leaseSeconds, failing, leaseSeconds/4*1e9,
		a.cfg.NodeName, corev1.NamespaceNodeLease, own).Run(ctx)
}
