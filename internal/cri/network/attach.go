package network

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// burst is how much passes at full speed before a limit is felt, in bits: no bound, as with the kubelet's runtimes.
const burst = 1<<32 - 1

// attachment is what plugins are told of a sandbox.
func attachment(rec *record, netns string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: rec.ID, NetNS: netns, IfName: podLink,
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", rec.Pod.Namespace}, {"K8S_POD_NAME", rec.Pod.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", rec.ID}, {"K8S_POD_UID", rec.Pod.UID},
		},
		CapabilityArgs: capabilities(rec),
	}
}

// capabilities are what plugins that declare them get besides, by the conventions that CNI lists.
func capabilities(rec *record) map[string]any {
	args := map[string]any{}
	var ports []map[string]any
	for _, p := range rec.Ports {
		if p.HostPort != 0 {
			ports = append(ports, map[string]any{"hostPort": p.HostPort, "containerPort": p.ContainerPort, "protocol": strings.ToLower(p.Protocol), "hostIP": p.HostIP})
		}
	}
	if len(ports) > 0 {
		args["portMappings"] = ports
	}
	limits := map[string]uint64{}
	if rate := rec.Bandwidth.Ingress; rate != 0 {
		limits["ingressRate"], limits["ingressBurst"] = rate, burst
	}
	if rate := rec.Bandwidth.Egress; rate != 0 {
		limits["egressRate"], limits["egressBurst"] = rate, burst
	}
	if len(limits) > 0 {
		args["bandwidth"] = limits
	}
	return args
}

func (n *Network) setupCNI(ctx context.Context, sb Sandbox) (Result, error) {
	_, list, err := n.cni.first()
	if err != nil {
		return Result{}, err
	}
	in, err := enter(sb.Netns)
	if err != nil {
		return Result{}, err
	}
	defer in.Close()
	if err := in.loopbackUp(); err != nil {
		return Result{}, err
	}
	rec := &record{
		Version: recordVersion, ID: sb.ID, Driver: driverCNI, Netns: sb.Netns, Pod: sb.Pod, Ports: sb.Ports, Bandwidth: sb.Bandwidth, Conf: confOf(list),
	}
	if err := n.ledger.keep(rec); err != nil {
		return Result{}, err
	}
	ctx, cancel := n.cni.bound(ctx)
	defer cancel()
	answer, err := n.cni.plugins.AddNetworkList(ctx, list, attachment(rec, sb.Netns))
	if err != nil {
		return Result{}, fmt.Errorf("CNI network %s: %w", list.Name, err)
	}
	result, err := addresses(answer)
	if err != nil {
		return Result{}, fmt.Errorf("CNI network %s: %w", list.Name, err)
	}
	withIPs := *rec
	withIPs.IPs = result.IPs
	return result, n.ledger.keep(&withIPs)
}

// bound gives plugins no more than their time.
func (c *cni) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
}

// addresses are those of the Pod's interface; plugins that name no interface mean it.
func addresses(answer types.Result) (Result, error) {
	plain, err := types100.NewResultFromResult(answer)
	if err != nil {
		return Result{}, fmt.Errorf("read the plugins' answer: %w", err)
	}
	var result Result
	for _, c := range plain.IPs {
		if i := c.Interface; i != nil && (*i < 0 || *i >= len(plain.Interfaces) || plain.Interfaces[*i].Name != podLink) {
			continue
		}
		if ip, ok := netip.AddrFromSlice(c.Address.IP); ok {
			result.IPs = append(result.IPs, ip.Unmap())
		}
	}
	if len(result.IPs) == 0 {
		return Result{}, fmt.Errorf("the plugins gave %s no address", podLink)
	}
	return result, nil
}

// teardownCNI undoes by the configuration that the sandbox was connected by, whatever has become of the file.
func (n *Network) teardownCNI(ctx context.Context, rec *record, netns string) error {
	if rec.Conf == nil { // an earlier version did not keep it; what is inside ends with the namespace
		return nil
	}
	list, err := rec.Conf.list()
	if err != nil {
		return fmt.Errorf("read the CNI configuration of then: %w", err)
	}
	if _, err := os.Stat(netns); err != nil {
		netns = "" // plugins must undo what is left without it
	}
	ctx, cancel := n.cni.bound(ctx)
	defer cancel()
	if err := n.cni.plugins.DelNetworkList(ctx, list, attachment(rec, netns)); err != nil {
		return fmt.Errorf("CNI network %s: %w", list.Name, err)
	}
	return nil
}

// abandon remembers a sandbox that could neither be connected nor disconnected, so that its addresses are not lost
// until the next restart.
func (n *Network) abandon(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.abandoned = append(n.abandoned, id)
}

// disconnectAbandoned tries again, once plugins work again.
func (n *Network) disconnectAbandoned(ctx context.Context) {
	n.mu.Lock()
	ids := n.abandoned
	n.abandoned = nil
	n.mu.Unlock()
	for _, id := range ids {
		rec := n.ledger.get(id)
		if rec == nil {
			continue
		}
		if err := n.Teardown(ctx, id, rec.Netns); err != nil {
			slog.WarnContext(ctx, "sandbox stays connected", "sandbox", id, "err", err)
			n.abandon(id)
		}
	}
}
