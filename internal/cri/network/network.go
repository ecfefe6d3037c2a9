package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Config describes the network of one instance. Names must differ between instances.
type Config struct {
	// Bridge is the name of the bridge, at most 15 bytes.
	Bridge string
	// Table is the name of the nftables table.
	Table string
	// PodCIDRs are the Pods' networks: one of IPv4, one of IPv6, or both. The first address is the bridge's.
	PodCIDRs []string
	// StateDir remembers addresses.
	StateDir string
	// CNIConfDir and CNIBinDirs are CNI's directories. With the first set, CNI takes the bridge's place.
	CNIConfDir string
	CNIBinDirs []string
	// CNIAutomatic lets CNI take the bridge's place only if a configuration that works is there when the network is made.
	CNIAutomatic bool
	// PluginTimeout bounds all plugins of a sandbox together; zero is a minute.
	PluginTimeout time.Duration
	// TakeDown leaves the host as it is until a sandbox is to be connected: what is to be taken down need not fit it.
	TakeDown bool
}

// Pod names a sandbox to CNI plugins and in messages.
type Pod struct{ Namespace, Name, UID string }

// PortMapping leads a port of the host to one of the Pod.
type PortMapping struct {
	// Protocol is tcp, udp or sctp.
	Protocol string `json:"protocol"`
	// HostIP limits the mapping to one address of the host; empty is all.
	HostIP string `json:"hostIP,omitempty"`
	// HostPort and ContainerPort are the two ports; a mapping without a HostPort is ignored.
	HostPort      uint16 `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort"`
}

// Sandbox is what is to be connected.
type Sandbox struct {
	ID    string
	Netns string // path of the network namespace
	Pod   Pod
	Ports []PortMapping

	Bandwidth Bandwidth
}

// Result is how a sandbox is connected.
type Result struct {
	// IPs are the Pod's addresses; the first is its main one.
	IPs []netip.Addr
}

// Living is a sandbox that outlived a restart, with the addresses that it has.
type Living struct {
	ID  string
	IPs []netip.Addr
}

// Network connects sandboxes. It is safe for concurrent use.
type Network struct {
	config   Config
	prefixes []netip.Prefix
	ledger   *ledger
	cni      *cni
	// plugged says that CNI connects sandboxes.
	plugged bool
	// ports serializes changes of the nftables table, whose rules are found by listing.
	ports sync.Mutex

	mu        sync.Mutex
	bridge    *bridge
	condition error
	abandoned []string
}

// New prepares the host: bridge, table and forwarding, none of it where CNI does the work. A network that overlaps one of the host's routes is refused before anything is changed.
func New(ctx context.Context, cfg Config) (*Network, error) {
	n := &Network{config: cfg, cni: newCNI(cfg)}
	for _, text := range cfg.PodCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("pod network %q: %w", text, errors.Join(err, errdefs.ErrInvalidArgument))
		}
		n.prefixes = append(n.prefixes, prefix.Masked())
	}
	var err error
	if n.ledger, err = openLedger(cfg.StateDir, n.prefixes); err != nil {
		return nil, err
	}
	if !cfg.TakeDown {
		n.decide(ctx)
	}
	if n.plugged || n.ledger.has(driverCNI) {
		n.cni.settle(ctx)
	}
	if cfg.TakeDown || n.plugged {
		return n, nil
	}
	return n, n.ensureBridge(ctx)
}

// Status is nil when sandboxes can be connected, and otherwise says what the host lacks.
func (n *Network) Status() error {
	if n.plugged {
		return n.cni.status()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.condition
}

// ensureBridge makes the host's side, once.
func (n *Network) ensureBridge(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bridge != nil {
		return nil
	}
	if len(n.prefixes) == 0 {
		return fmt.Errorf("no pod network is set: %w", errdefs.ErrInvalidArgument)
	}
	if err := checkRoutes(n.config.Bridge, n.prefixes); err != nil {
		return err
	}
	br, err := openBridge(n.config.Bridge, n.prefixes)
	if err != nil {
		return err
	}
	if err := rebuildTable(n.config.Table, n.config.Bridge, n.prefixes, n.ledger.all()); err != nil {
		return err
	}
	if n.condition = allowForwarding(n.config.Bridge, n.prefixes); n.condition != nil {
		slog.WarnContext(ctx, "pods reach each other but nothing beyond this machine", "err", n.condition)
	}
	n.bridge = br
	return nil
}

// Setup connects a sandbox. When it fails, nothing of it is left. Called again for the same ID, it starts afresh.
func (n *Network) Setup(ctx context.Context, sb Sandbox) (Result, error) {
	if n.ledger.get(sb.ID) != nil {
		if err := n.Teardown(ctx, sb.ID, sb.Netns); err != nil {
			return Result{}, err
		}
	}
	var result Result
	var err error
	if n.plugged {
		result, err = n.setupCNI(ctx, sb)
	} else {
		result, err = n.setupBridge(ctx, sb)
	}
	if err != nil {
		err = fmt.Errorf("connect pod %s/%s: %w", sb.Pod.Namespace, sb.Pod.Name, err)
		undone := n.Teardown(context.WithoutCancel(ctx), sb.ID, sb.Netns)
		if undone != nil {
			n.abandon(sb.ID)
		}
		return Result{}, errors.Join(err, undone)
	}
	n.disconnectAbandoned(ctx)
	return result, nil
}

func (n *Network) setupBridge(ctx context.Context, sb Sandbox) (Result, error) {
	if err := n.ensureBridge(ctx); err != nil {
		return Result{}, err
	}
	rec, err := n.ledger.allocate(sb, hostLink(n.config.Bridge, sb.ID))
	if err != nil {
		return Result{}, err
	}
	if err := n.bridge.connect(rec, sb.Netns); err != nil {
		return Result{}, err
	}
	if len(rec.Ports) > 0 {
		n.ports.Lock()
		err = errors.Join(addPorts(n.config.Table, rec), forgetFlows(rec.Ports))
		n.ports.Unlock()
	}
	return Result{IPs: rec.IPs}, err
}

// Teardown disconnects a sandbox and frees its addresses. netns may be empty or gone. A sandbox that is not connected
// is no error.
func (n *Network) Teardown(ctx context.Context, id, netns string) error {
	rec := n.ledger.get(id)
	if rec == nil {
		return nil
	}
	var err error
	if rec.Driver == driverCNI {
		err = n.teardownCNI(ctx, rec, netns)
	} else {
		err = n.teardownBridge(rec)
	}
	if err != nil {
		return fmt.Errorf("disconnect pod %s/%s: %w", rec.Pod.Namespace, rec.Pod.Name, err)
	}
	return n.ledger.free(id)
}

func (n *Network) teardownBridge(rec *record) error {
	var errs []error
	if len(rec.Ports) > 0 {
		n.ports.Lock()
		errs = append(errs, removePorts(n.config.Table, rec.ID), forgetFlows(rec.Ports))
		n.ports.Unlock()
	}
	return errors.Join(append(errs, removeLink(rec.Link))...)
}

// Reconcile frees what belongs to sandboxes that are no longer there, and remembers what living ones have.
func (n *Network) Reconcile(ctx context.Context, living []Living) error {
	alive := map[string]bool{}
	var errs []error
	for _, l := range living {
		alive[l.ID] = true
		if n.ledger.get(l.ID) == nil && len(l.IPs) > 0 {
			errs = append(errs, n.ledger.restore(l, hostLink(n.config.Bridge, l.ID)))
		}
	}
	for _, rec := range n.ledger.all() {
		if !alive[rec.ID] {
			errs = append(errs, n.Teardown(ctx, rec.ID, rec.Netns))
		}
	}
	keep := map[string]bool{}
	for _, rec := range n.ledger.all() {
		keep[rec.Link] = true
	}
	errs = append(errs, removePortsOf(n.config.Bridge, keep))
	return errors.Join(errs...)
}

// Purge removes all that the kernel and the disk hold for the instance: links, bridge, table, state.
func Purge(ctx context.Context, cfg Config) error {
	var errs []error
	if l, err := openLedger(cfg.StateDir, nil); err == nil {
		n := &Network{config: cfg, ledger: l, cni: newCNI(cfg)}
		if l.has(driverCNI) {
			n.cni.settle(ctx)
		}
		for _, rec := range l.all() {
			if rec.Driver == driverCNI {
				errs = append(errs, n.Teardown(ctx, rec.ID, rec.Netns))
			}
		}
	}
	errs = append(errs, removePortsOf(cfg.Bridge, nil), removeLink(cfg.Bridge), removeTable(cfg.Table))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove network: %w", err)
	}
	if err := os.RemoveAll(cfg.StateDir); err != nil {
		return fmt.Errorf("remove network state: %w", err)
	}
	return nil
}
