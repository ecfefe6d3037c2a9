package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gocni "github.com/containerd/go-cni"
)

// cni is the way of the host's own network plugins.
type cni struct{ confDir, binDir string }

// wanted tells whether CNI is to connect sandboxes.
func (c *cni) wanted() bool { return c.confDir != "" }

// configured tells whether there is a CNI configuration now.
func (c *cni) configured() bool {
	entries, err := os.ReadDir(c.confDir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(e.Name()))
	})
}

// load reads the configuration: loopback and the first file by name, as the kubelet's runtimes do.
func (c *cni) load() (gocni.CNI, error) {
	plugins, err := gocni.New(gocni.WithMinNetworkCount(2), gocni.WithPluginConfDir(c.confDir),
		gocni.WithPluginDir([]string{c.binDir}), gocni.WithInterfacePrefix("eth"))
	if err != nil {
		return nil, fmt.Errorf("open CNI: %w", err)
	}
	if err := plugins.Load(gocni.WithLoNetwork, gocni.WithDefaultConf); err != nil {
		return nil, fmt.Errorf("load CNI configuration from %s: %w", c.confDir, err)
	}
	return plugins, nil
}

func (c *cni) status() error {
	plugins, err := c.load()
	if err != nil {
		return err
	}
	return plugins.Status()
}

func cniOptions(pod Pod, id string, ports []PortMapping) []gocni.NamespaceOpts {
	options := []gocni.NamespaceOpts{gocni.WithLabels(map[string]string{
		"K8S_POD_NAMESPACE":          pod.Namespace,
		"K8S_POD_NAME":               pod.Name,
		"K8S_POD_INFRA_CONTAINER_ID": id,
		"K8S_POD_UID":                pod.UID,
		"IgnoreUnknown":              "1",
	})}
	var mappings []gocni.PortMapping
	for _, p := range ports {
		if p.HostPort != 0 {
			mappings = append(mappings, gocni.PortMapping{
				HostPort: int32(p.HostPort), ContainerPort: int32(p.ContainerPort), Protocol: strings.ToLower(p.Protocol), HostIP: p.HostIP,
			})
		}
	}
	if len(mappings) > 0 {
		options = append(options, gocni.WithCapabilityPortMap(mappings))
	}
	return options
}

func (n *Network) setupCNI(ctx context.Context, sb Sandbox) (Result, error) {
	plugins, err := n.cni.load()
	if err != nil {
		return Result{}, err
	}
	rec := &record{Version: recordVersion, ID: sb.ID, Driver: driverCNI, Netns: sb.Netns, Pod: sb.Pod, Ports: sb.Ports}
	if err := n.ledger.keep(rec); err != nil {
		return Result{}, err
	}
	answer, err := plugins.Setup(ctx, sb.ID, sb.Netns, cniOptions(sb.Pod, sb.ID, sb.Ports)...)
	if err != nil {
		return Result{}, err
	}
	var result Result
	main := answer.Interfaces[podLink]
	if main == nil || len(main.IPConfigs) == 0 {
		return Result{}, fmt.Errorf("the CNI plugins gave %s no address", podLink)
	}
	for _, c := range main.IPConfigs {
		if ip, ok := netip.AddrFromSlice(c.IP); ok {
			result.IPs = append(result.IPs, ip.Unmap())
		}
	}
	withIPs := *rec
	withIPs.IPs = result.IPs
	return result, n.ledger.keep(&withIPs)
}

// teardownCNI undoes by the configuration of now. Where it is gone there is nothing to ask: the namespace takes
// the interfaces along.
func (n *Network) teardownCNI(ctx context.Context, rec *record, netns string) error {
	if !n.cni.configured() {
		return nil
	}
	plugins, err := n.cni.load()
	if err != nil {
		return err
	}
	return plugins.Remove(ctx, rec.ID, netns, cniOptions(rec.Pod, rec.ID, rec.Ports)...)
}
