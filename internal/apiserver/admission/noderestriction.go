package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mayfly-run/mayfly/internal/apiserver/authz"
)

// Pods finds Pods, and the nodes that they are on.
type Pods interface {
	Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// nodeRestriction keeps a node to its own: its Node, its lease, the Pods bound to it and their tokens. The node
// authorizer says what a node may do at all; this says to which objects, where only the object tells.
type nodeRestriction struct {
	*admission.Handler
	pods Pods
}

// Validate implements admission.ValidationInterface.
func (n *nodeRestriction) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	node, ok := authz.NodeName(a.GetUserInfo())
	if !ok {
		return nil
	}
	var err error
	switch a.GetResource().GroupResource() {
	case corev1.Resource("nodes"):
		err = ownNode(node, a)
	case corev1.Resource("pods"):
		err = n.ownPod(ctx, node, a)
	case corev1.Resource("serviceaccounts"):
		err = n.ownToken(ctx, node, a)
	case certificatesv1.Resource("certificatesigningrequests"):
		err = ownCertificate(node, a)
	case (schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}):
		if a.GetNamespace() != corev1.NamespaceNodeLease || nameOf(a) != node {
			err = fmt.Errorf("can only access node lease with the same name as the requesting node")
		}
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

func nameOf(a admission.Attributes) string {
	if a.GetName() != "" {
		return a.GetName()
	}
	if m, err := meta.Accessor(a.GetObject()); err == nil {
		return m.GetName()
	}
	return ""
}

func ownNode(node string, a admission.Attributes) error {
	if name := nameOf(a); name != node {
		return fmt.Errorf("node %q is not allowed to modify node %q", node, name)
	}
	obj, ok := a.GetObject().(*corev1.Node)
	if !ok {
		return nil
	}
	old, ok := a.GetOldObject().(*corev1.Node)
	if !ok {
		if forbidden := forbiddenLabels(nil, obj.Labels); len(forbidden) > 0 {
			return fmt.Errorf("is not allowed to set the following labels: %s", strings.Join(forbidden, ", "))
		}
		return nil
	}
	if !slices.EqualFunc(obj.Spec.Taints, old.Spec.Taints, func(x, y corev1.Taint) bool { return x.MatchTaint(&y) && x.Value == y.Value }) {
		return fmt.Errorf("node %q is not allowed to modify taints", node)
	}
	if forbidden := forbiddenLabels(old.Labels, obj.Labels); len(forbidden) > 0 {
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(forbidden, ", "))
	}
	return nil
}

// forbiddenLabels are the changed labels by which a node could draw Pods to itself that are not meant for it.
func forbiddenLabels(old, now map[string]string) []string {
	var forbidden []string
	changed := map[string]bool{}
	for k, v := range now {
		o, ok := old[k]
		changed[k] = !ok || o != v
	}
	for k := range old {
		if _, ok := now[k]; !ok {
			changed[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(changed)) {
		if changed[k] && isRestricted(k) {
			forbidden = append(forbidden, k)
		}
	}
	return forbidden
}

// isRestricted: labels of Kubernetes' domains are, but for those that nodes set themselves.
func isRestricted(label string) bool {
	domain, _, ok := strings.Cut(label, "/")
	if !ok {
		return false
	}
	in := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	switch {
	case in("node-restriction.kubernetes.io"):
		return true
	case in("kubelet.kubernetes.io"), in("node.kubernetes.io"):
		return false
	case in("kubernetes.io"), in("k8s.io"):
		return !slices.Contains([]string{
			corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelOSStable, corev1.LabelArchStable,
			corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion, "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
		}, label)
	}
	return false
}

func (n *nodeRestriction) ownPod(ctx context.Context, node string, a admission.Attributes) error {
	switch {
	case a.GetOperation() == admission.Create && a.GetSubresource() == "":
		return n.ownMirror(ctx, node, a)
	case a.GetSubresource() == "eviction":
		name := a.GetName()
		if e, ok := a.GetObject().(*policyv1.Eviction); ok && name == "" {
			name = e.Name
		}
		return n.bound(ctx, node, a.GetNamespace(), name, "evict")
	case a.GetOperation() == admission.Delete:
		return n.bound(ctx, node, a.GetNamespace(), a.GetName(), "delete")
	case a.GetSubresource() == "status":
		old, ok := a.GetOldObject().(*corev1.Pod)
		now, isPod := a.GetObject().(*corev1.Pod)
		if !ok || old.Spec.NodeName != node {
			return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", node)
		}
		if isPod && !maps.Equal(old.Labels, now.Labels) {
			return fmt.Errorf("node %q cannot update labels through pod status", node)
		}
		return nil
	}
	return fmt.Errorf("unexpected operation %q on pods, node %q can only create and delete mirror pods", a.GetOperation(), node)
}

// ownMirror lets a node show the Pods that it runs by itself, which are its own and need nothing of the API.
func (n *nodeRestriction) ownMirror(ctx context.Context, node string, a admission.Attributes) error {
	p, ok := a.GetObject().(*corev1.Pod)
	if !ok || !mirrored(p) {
		return fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if p.Spec.NodeName != node {
		return fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", node)
	}
	if len(p.OwnerReferences) != 1 {
		return fmt.Errorf("node %q can only create pods with one owner reference, which is set to itself", node)
	}
	owner := p.OwnerReferences[0]
	if owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node {
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", node)
	}
	if owner.Controller == nil || !*owner.Controller {
		return fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", node)
	}
	if owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion {
		return fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	found, err := n.pods.Node(ctx, node)
	if err != nil {
		return err
	}
	if owner.UID != found.UID {
		return fmt.Errorf("node %s UID mismatch: expected %s got %s", node, owner.UID, found.UID)
	}
	if needs := needed(p); needs != "" {
		return fmt.Errorf("node %q can not create pods that reference %s", node, needs)
	}
	return nil
}

// needed is a kind of object of the API that the Pod refers to, if it does to any.
func needed(p *corev1.Pod) string {
	switch {
	case p.Spec.ServiceAccountName != "":
		return "a service account"
	case len(p.Spec.ImagePullSecrets) > 0:
		return "secrets"
	}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Secret != nil:
			return "secrets"
		case v.ConfigMap != nil:
			return "configmaps"
		case v.PersistentVolumeClaim != nil:
			return "persistentvolumeclaims"
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.Secret != nil || s.ConfigMap != nil || s.ClusterTrustBundle != nil || s.ServiceAccountToken != nil {
					return "objects of the API in projected volumes"
				}
			}
		}
	}
	found := ""
	_ = visit(p, func(c *corev1.Container) error {
		for _, e := range c.Env {
			if e.ValueFrom != nil && (e.ValueFrom.SecretKeyRef != nil || e.ValueFrom.ConfigMapKeyRef != nil) {
				found = "secrets or configmaps"
			}
		}
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil || e.ConfigMapRef != nil {
				found = "secrets or configmaps"
			}
		}
		return nil
	})
	return found
}

func (n *nodeRestriction) bound(ctx context.Context, node, namespace, name, verb string) error {
	p, err := n.pods.Pod(ctx, namespace, name)
	if err != nil {
		return err
	}
	if p.Spec.NodeName != node {
		return fmt.Errorf("node %q can only %s pods with spec.nodeName set to itself", node, verb)
	}
	return nil
}

// ownToken lets a node ask for tokens that are bound to one of its Pods, which uses the account.
func (n *nodeRestriction) ownToken(ctx context.Context, node string, a admission.Attributes) error {
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if a.GetSubresource() != "token" || !ok {
		return nil
	}
	ref := request.Spec.BoundObjectRef
	if ref == nil || ref.Kind != "Pod" || ref.Name == "" {
		return fmt.Errorf("node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return fmt.Errorf("node requested token with a pod binding without a uid")
	}
	p, err := n.pods.Pod(ctx, a.GetNamespace(), ref.Name)
	if err != nil {
		return err
	}
	if ref.UID != p.UID {
		return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	}
	if p.Spec.NodeName != node {
		return fmt.Errorf("node requested token bound to a pod scheduled on a different node")
	}
	return nil
}
