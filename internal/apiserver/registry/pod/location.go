package pod

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mayfly-run/mayfly/internal/apiserver/registry"
)

// NodeGetter finds the kubelet API of a node. An error says why it cannot be reached.
type NodeGetter interface {
	Endpoint(ctx context.Context, node string) (NodeEndpoint, error)
}

// NodeEndpoint is where and how a node's kubelet API is called. Transport carries plain requests and, when it can
// dial, upgrades as well; Dial, when set, makes the connections of upgrades.
type NodeEndpoint struct {
	Scheme, Host string
	Transport    http.RoundTripper
	Dial         func(ctx context.Context) (net.Conn, error)
}

// UpgradeAuthorizer decides whether the user of ctx may create the subresource, which a GET that upgrades does.
type UpgradeAuthorizer func(ctx context.Context) error

// streams is what all streaming subresources share.
type streams struct {
	pods      *registry.Storage
	nodes     NodeGetter
	authorize UpgradeAuthorizer
}

// upgradeTransport is the round tripper whose connections are upgraded.
func (e NodeEndpoint) upgradeTransport() http.RoundTripper {
	if e.Dial == nil {
		return e.Transport
	}
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx) }}
}

// location is the URL of the node's kubelet API at path, which starts with the verb and ends with the Pod.
func (s streams) location(ctx context.Context, pod *corev1.Pod, path []string, query url.Values) (*url.URL, NodeEndpoint, error) {
	if pod.Spec.NodeName == "" {
		return nil, NodeEndpoint{}, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	if s.nodes == nil {
		return nil, NodeEndpoint{}, apierrors.NewServiceUnavailable("this server reaches no nodes")
	}
	endpoint, err := s.nodes.Endpoint(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, NodeEndpoint{}, apierrors.NewServiceUnavailable(fmt.Sprintf("reach node %s: %v", pod.Spec.NodeName, err))
	}
	escaped := make([]string, len(path))
	for i := range path {
		escaped[i] = url.PathEscape(path[i])
	}
	return &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: "/" + strings.Join(escaped, "/"), RawQuery: query.Encode()}, endpoint, nil
}

// container finds which container of pod is meant by asked, which may be empty where there is one regular container.
func container(pod *corev1.Pod, asked string) (string, error) {
	names := containerNames(pod)
	switch {
	case asked != "" && slices.Contains(names, asked):
		return asked, nil
	case asked != "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", asked, pod.Name))
	case len(pod.Spec.Containers) == 1:
		return pod.Spec.Containers[0].Name, nil
	case len(pod.Spec.Containers) == 0:
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s", pod.Name))
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, names))
}

// containerNames are all names, whatever kind of container bears them.
func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}
