package admission

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry/pod"
)

// Nodes finds nodes by name, in a cache.
type Nodes interface {
	CachedNode(ctx context.Context, name string) (*corev1.Node, error)
}

// topology tells a Pod, by labels, in which zone and region its node is: when it is bound, or made on a node.
type topology struct {
	*admission.Handler
	nodes Nodes
}

var _ admission.MutationInterface = topology{}

// Admit implements admission.MutationInterface.
func (t topology) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != pod.Resource() {
		return nil
	}
	switch o := a.GetObject().(type) {
	case *corev1.Pod:
		if a.GetSubresource() != "" || o.Spec.NodeName == "" {
			return nil
		}
		return t.label(ctx, o.Spec.NodeName, &o.Labels)
	case *corev1.Binding:
		if o.Target.Name == "" || o.Target.Kind != "" && o.Target.Kind != "Node" {
			return nil // which validation will say
		}
		return t.label(ctx, o.Target.Name, &o.Labels)
	}
	return nil
}

// label adds what the node says to labels, over what is there. A node that there is not says nothing.
func (t topology) label(ctx context.Context, name string, labels *map[string]string) error {
	if len(path.IsValidPathSegmentName(name)) > 0 {
		return nil // validation says what is wrong with it
	}
	n, err := t.nodes.CachedNode(ctx, name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("read node %s for its topology: %w", name, err))
	}
	found := map[string]string{}
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		if value, ok := n.Labels[key]; ok {
			found[key] = value
		}
	}
	if len(found) == 0 {
		return nil
	}
	if *labels == nil {
		*labels = map[string]string{}
	}
	maps.Copy(*labels, found)
	return nil
}
