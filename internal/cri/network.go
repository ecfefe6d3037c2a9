package cri

import (
	"context"
	"strings"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/network"
)

// connector is the network as sandboxes see it.
type connector struct{ *network.Network }

// Setup implements sandbox.Network.
func (c connector) Setup(ctx context.Context, id, netns string, config *runtimev1.PodSandboxConfig) ([]string, error) {
	meta := config.GetMetadata()
	wanted := network.Sandbox{ID: id, Netns: netns, Pod: network.Pod{Namespace: meta.GetNamespace(), Name: meta.GetName(), UID: meta.GetUid()}}
	for _, m := range config.GetPortMappings() {
		if m.GetHostPort() <= 0 || m.GetHostPort() > 65535 {
			continue
		}
		wanted.Ports = append(wanted.Ports, network.PortMapping{
			Protocol: strings.ToLower(m.GetProtocol().String()), HostIP: m.GetHostIp(),
			HostPort: uint16(m.GetHostPort()), ContainerPort: uint16(m.GetContainerPort()),
		})
	}
	result, err := c.Network.Setup(ctx, wanted)
	if err != nil {
		return nil, err
	}
	ips := make([]string, len(result.IPs))
	for i, ip := range result.IPs {
		ips[i] = ip.String()
	}
	return ips, nil
}

// Teardown implements sandbox.Network.
func (c connector) Teardown(ctx context.Context, id, netns string, _ *runtimev1.PodSandboxConfig) error {
	return c.Network.Teardown(ctx, id, netns)
}
