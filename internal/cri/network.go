package cri

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"k8s.io/apimachinery/pkg/api/resource"
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
	var err error
	if wanted.Bandwidth, err = bandwidth(config.GetAnnotations()); err != nil {
		return nil, err
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

// Annotations of a Pod that limit its network, as the kubelet's runtimes know them.
const (
	ingressBandwidth = "kubernetes.io/ingress-bandwidth"
	egressBandwidth  = "kubernetes.io/egress-bandwidth"
)

// What these may be, in bits per second.
const (
	leastBandwidth = 1e3
	mostBandwidth  = 1e15
)

func bandwidth(annotations map[string]string) (b network.Bandwidth, _ error) {
	for name, rate := range map[string]*uint64{ingressBandwidth: &b.Ingress, egressBandwidth: &b.Egress} {
		value, ok := annotations[name]
		if !ok {
			continue
		}
		q, err := resource.ParseQuantity(value)
		if err != nil || q.Value() < leastBandwidth || q.Value() > mostBandwidth {
			return b, fmt.Errorf("annotation %s: %q is no number of bits per second from 1k to 1P, such as 10M: %w", name, value, errdefs.ErrInvalidArgument)
		}
		*rate = uint64(q.Value())
	}
	return b, nil
}
