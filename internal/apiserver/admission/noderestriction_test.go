package admission

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

// boundPods are all on the node of their name's first part: "a-1" is on a.
type boundPods struct{}

func (boundPods) Pod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return podOn(strings.Split(name, "-")[0], name), nil
}

// Node has the UID "u" whatever its name.
func (boundPods) Node(_ context.Context, name string) (*corev1.Node, error) {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}}, nil
}

// mirrorOn mirrors a Pod that runs on node a.
func mirrorOn(change func(*corev1.Pod)) *corev1.Pod {
	p, controller := podOn("a", "m"), true
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "a", UID: "u", Controller: &controller}}
	p.Spec.Containers = []corev1.Container{{Name: "c"}}
	if change != nil {
		change(p)
	}
	return p
}

func podOn(node, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}, Spec: corev1.PodSpec{NodeName: node}}
}

func TestNodesAreKeptToTheirOwn(t *testing.T) {
	yes := true
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	token := func(pod string) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", Name: pod, UID: "u"}}}
	}
	for name, c := range map[string]struct {
		resource, subresource, namespace, name string
		op                                     admission.Operation
		obj, old                               runtime.Object
		refused                                bool
	}{
		"own node":            {"nodes", "status", "", "a", admission.Update, node("a", nil), node("a", nil), false},
		"other node":          {"nodes", "status", "", "b", admission.Update, node("b", nil), node("b", nil), true},
		"register":            {"nodes", "", "", "", admission.Create, node("a", map[string]string{corev1.LabelHostname: "a"}), nil, false},
		"reserved label":      {"nodes", "", "", "a", admission.Update, node("a", map[string]string{"node-restriction.kubernetes.io/x": "y"}), node("a", nil), true},
		"mirror pod":          {"pods", "", "n", "m", admission.Create, mirrorOn(nil), nil, false},
		"mirror unowned":      {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences = nil }), nil, true},
		"mirror of two":       {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences[0]) }), nil, true},
		"mirror of another":   {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences[0].Name = "b" }), nil, true},
		"mirror of an older":  {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "old" }), nil, true},
		"mirror of a Pod":     {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "Pod" }), nil, true},
		"mirror uncontrolled": {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil }), nil, true},
		"mirror that blocks":  {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.OwnerReferences[0].BlockOwnerDeletion = &yes }), nil, true},
		"mirror with account": {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "x" }), nil, true},
		"mirror with claim": {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}}}
		}), nil, true},
		"mirror with secret": {"pods", "", "n", "m", admission.Create, mirrorOn(func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}}
		}), nil, true},
		"pod":                {"pods", "", "n", "p", admission.Create, podOn("a", "p"), nil, true},
		"delete own":         {"pods", "", "n", "a-1", admission.Delete, nil, nil, false},
		"delete other":       {"pods", "", "n", "b-1", admission.Delete, nil, nil, true},
		"own status":         {"pods", "status", "n", "a-1", admission.Update, podOn("a", "a-1"), podOn("a", "a-1"), false},
		"other status":       {"pods", "status", "n", "b-1", admission.Update, podOn("b", "b-1"), podOn("b", "b-1"), true},
		"ephemeral":          {"pods", "ephemeralcontainers", "n", "a-1", admission.Update, podOn("a", "a-1"), podOn("a", "a-1"), true},
		"own lease":          {"leases", "", corev1.NamespaceNodeLease, "a", admission.Update, &coordinationv1.Lease{}, nil, false},
		"other lease":        {"leases", "", corev1.NamespaceNodeLease, "b", admission.Update, &coordinationv1.Lease{}, nil, true},
		"token of own pod":   {"serviceaccounts", "token", "n", "default", admission.Create, token("a-1"), nil, false},
		"token of other pod": {"serviceaccounts", "token", "n", "default", admission.Create, token("b-1"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			group := ""
			if c.resource == "leases" {
				group = coordinationv1.GroupName
			}
			n := &nodeRestriction{admission.NewHandler(admission.Create, admission.Update, admission.Delete), boundPods{}}
			for who, u := range map[string]user.Info{
				"node": &user.DefaultInfo{Name: "system:node:a", Groups: []string{user.NodesGroup}}, "admin": &user.DefaultInfo{Name: "admin"},
			} {
				a := admission.NewAttributesRecord(c.obj, c.old, schema.GroupVersionKind{}, c.namespace, c.name,
					schema.GroupVersionResource{Group: group, Version: "v1", Resource: c.resource}, c.subresource, c.op, nil, false, u)
				if err := n.Validate(t.Context(), a, nil); (err != nil) != (c.refused && who == "node") {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
}
