package pod

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NodeProxy is the subresource nodes/proxy: it carries requests to a node's kubelet API, which gives all that runs
// there to whoever may use it.
type NodeProxy struct{ nodes NodeGetter }

// NewNodeProxy makes the subresource; nil reaches no node.
func NewNodeProxy(nodes NodeGetter) *NodeProxy { return &NodeProxy{nodes} }

// New implements rest.Storage.
func (*NodeProxy) New() runtime.Object { return &corev1.NodeProxyOptions{} }

// Destroy implements rest.Storage.
func (*NodeProxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*NodeProxy) ConnectMethods() []string {
	return proxyMethods()
}

// NewConnectOptions implements rest.Connecter.
func (*NodeProxy) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.NodeProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (p *NodeProxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.NodeProxyOptions)
	if !ok {
		return nil, fmt.Errorf("invalid options object: %T", options)
	}
	_, name, _, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	if p.nodes == nil {
		return nil, apierrors.NewServiceUnavailable("this server reaches no nodes")
	}
	endpoint, err := p.nodes.Endpoint(ctx, name)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("reach node %s: %v", name, err))
	}
	location := &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: proxyPath("", o.Path)}
	handler := proxy.NewUpgradeAwareHandler(location, endpoint.Transport, true, false, proxy.NewErrorResponder(responder))
	handler.UpgradeTransport = proxy.NewUpgradeRequestRoundTripper(endpoint.upgradeTransport(), proxy.MirrorRequest)
	return handler, nil
}
