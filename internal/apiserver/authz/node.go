package authz

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// nodeUserPrefix begins the user name of a node.
const nodeUserPrefix = "system:node:"

// NodeName is the node that u is, if it is one.
func NodeName(u user.Info) (string, bool) {
	name, ok := strings.CutPrefix(u.GetName(), nodeUserPrefix)
	return name, ok && name != "" && slices.Contains(u.GetGroups(), user.NodesGroup)
}

// PodLookup tells what Pods on a node refer to.
type PodLookup interface {
	// Refers tells whether a Pod on the node uses the object: resource is secrets, configmaps or serviceaccounts.
	Refers(node, resource, namespace, name string) bool
}

// Node authorizes nodes: their own Node, Lease and Pods, and what their Pods refer to.
type Node struct{ Pods PodLookup }

// nodeRules are what any node may do, whichever object.
func nodeRules() map[string][]string {
	read := []string{"get", "list", "watch"}
	return map[string][]string{
		"nodes":                      {"get", "list", "watch", "create", "update", "patch"},
		"nodes/status":               {"update", "patch"},
		"pods":                       {"get", "list", "watch", "create", "delete"},
		"pods/status":                {"update", "patch"},
		"pods/eviction":              {"create"},
		"events":                     {"create", "update", "patch"},
		"services":                   read,
		"namespaces":                 read,
		"leases":                     {"get", "create", "update", "patch", "delete"},
		"runtimeclasses":             read,
		"tokenreviews":               {"create"},
		"subjectaccessreviews":       {"create"},
		"localsubjectaccessreviews":  {"create"},
		"certificatesigningrequests": {"create", "get", "list", "watch"},
		"selfsubjectreviews":         {"create"},
		"selfsubjectaccessreviews":   {"create"},
		"persistentvolumes":          read,
		"persistentvolumeclaims":     {"get"},
	}
}

// Authorize decides for authorizer.AuthorizerFunc.
func (n *Node) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	node, ok := NodeName(a.GetUser())
	if !ok || !a.IsResourceRequest() {
		return authorizer.DecisionNoOpinion, "", nil
	}
	resource := a.GetResource()
	if a.GetSubresource() != "" {
		resource += "/" + a.GetSubresource()
	}
	switch resource {
	case "secrets", "configmaps":
		return n.referred(node, a.GetResource(), a, []string{"get", "list", "watch"})
	case "serviceaccounts":
		return n.referred(node, a.GetResource(), a, []string{"get"})
	case "serviceaccounts/token":
		return n.referred(node, a.GetResource(), a, []string{"create"})
	}
	if slices.Contains(nodeRules()[resource], a.GetVerb()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (n *Node) referred(node, resource string, a authorizer.Attributes, verbs []string) (authorizer.Decision, string, error) {
	if !slices.Contains(verbs, a.GetVerb()) {
		return authorizer.DecisionNoOpinion, "can only read resources of this type", nil
	}
	if a.GetName() == "" {
		return authorizer.DecisionNoOpinion, "No Object name found", nil
	}
	if !n.Pods.Refers(node, resource, a.GetNamespace(), a.GetName()) {
		return authorizer.DecisionNoOpinion, "no relationship found between node '" + node + "' and this object", nil
	}
	return authorizer.DecisionAllow, "", nil
}
