package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/mayfly-run/mayfly/internal/apiserver"
)

// nodeEndpoint leads the API server to the kubelet API of this process's node agent, by the unix socket that only
// root can open.
type nodeEndpoint struct{ name, socket string }

// Endpoint is part of apiserver.NodeGetter.
func (e nodeEndpoint) Endpoint(_ context.Context, name string) (apiserver.NodeEndpoint, error) {
	if name != e.name {
		return apiserver.NodeEndpoint{}, fmt.Errorf("node %q is not this machine's (%q)", name, e.name)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", e.socket)
	}
	// A connection that is kept would be kept for nobody: each call has a transport of its own.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return apiserver.NodeEndpoint{Scheme: "http", Host: e.name, Transport: transport, Dial: dial}, nil
}
