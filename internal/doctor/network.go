package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/config"
)

func checkNamespaces(context.Context, Config) Finding {
	if os.Geteuid() != 0 {
		return ok("not tried without root")
	}
	for _, ns := range []struct {
		flag int
		name string
	}{
		{unix.CLONE_NEWNS, "mount"},
		{unix.CLONE_NEWPID, "pid"},
		{unix.CLONE_NEWNET, "net"},
		{unix.CLONE_NEWIPC, "ipc"},
		{unix.CLONE_NEWUTS, "uts"},
		{unix.CLONE_NEWCGROUP, "cgroup"},
	} {
		if err := inNamespaces(ns.flag, func() error { return nil }); err != nil {
			return fatal("raise /proc/sys/user/max_*_namespaces, or boot a kernel with CONFIG_NAMESPACES and all below it",
				"no new %s namespace can be made: %v", ns.name, err)
		}
	}
	return ok("mount, pid, net, ipc, uts and cgroup")
}

// checkVirtualNetwork makes a bridge and a veth pair where nobody sees them.
func checkVirtualNetwork(context.Context, Config) Finding {
	if os.Geteuid() != 0 {
		return ok("not tried without root")
	}
	err := inNamespaces(unix.CLONE_NEWNET, func() error {
		bridge := netlink.NewLinkAttrs()
		bridge.Name = "mf-doctor"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: bridge}); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		veth := netlink.NewLinkAttrs()
		veth.Name = "mf-doctor0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: veth, PeerName: "mf-doctor1"}); err != nil {
			return fmt.Errorf("veth: %w", err)
		}
		return nil
	})
	if err != nil {
		return fatal("modprobe bridge veth", "no Pod network can be made: %v", err)
	}
	return ok("bridge and veth")
}

// checkNftables makes a masquerading chain where it matters to nobody.
func checkNftables(context.Context, Config) Finding {
	if os.Geteuid() != 0 {
		return ok("not tried without root")
	}
	err := inNamespaces(unix.CLONE_NEWNET, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "mayfly-doctor"})
		chain := conn.AddChain(&nftables.Chain{
			Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Masq{}}})
		return conn.Flush()
	})
	if err != nil {
		return fatal("modprobe nf_tables nft_chain_nat nft_masq", "Pods could not reach beyond this machine: %v", err)
	}
	return ok("masquerade")
}

func checkForwarding(context.Context, Config) Finding {
	const path = "/proc/sys/net/ipv4/ip_forward"
	value, err := os.ReadFile(path)
	if err != nil {
		return warning("mount procfs on /proc", "read %s: %v", path, err)
	}
	if strings.TrimSpace(string(value)) == "1" {
		return ok("on")
	}
	if unix.Access(path, unix.W_OK) != nil {
		return warning("sysctl -w net.ipv4.ip_forward=1", "off, and %s cannot be written: Pods reach only this machine", path)
	}
	return ok("off; up turns it on")
}

// checkPodNetwork looks for routes of the host into the Pods' networks.
func checkPodNetwork(_ context.Context, cfg Config) Finding {
	routes, err := hostRoutes(ownBridge(cfg.DataDir))
	if err != nil {
		return warning("", "list routes: %v", err)
	}
	for _, cidr := range cfg.PodCIDRs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fatal("give a network such as 10.88.0.0/16 with --pod-cidr", "%q is not a network", cidr)
		}
		if a := prefix.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
			return fatal("give a network such as 10.88.0.0/16 with --pod-cidr", "%s is no network that Pods can have addresses of", cidr)
		}
		if taken, found := conflict(prefix.Masked(), routes); found {
			return fatal("choose a free one with --pod-cidr", "%s is in use: the machine has a route to %s by %s", cidr, taken.prefix, taken.link)
		}
	}
	if len(cfg.PodCIDRs) == 0 {
		return ok("not asked for")
	}
	return ok("%s is free", strings.Join(cfg.PodCIDRs, ", "))
}

// ownBridge is the name of the bridge that the instance left behind by an earlier run.
func ownBridge(dataDir string) string {
	return "mf-" + config.Instance{DataDir: dataDir}.ID()[:6]
}

type route struct {
	prefix netip.Prefix
	link   string
}

// conflict finds a route that would carry away packets to Pods: one at least as narrow as their network. A wider one
// does no harm, since the Pods' own route is preferred.
func conflict(pods netip.Prefix, routes []route) (route, bool) {
	for _, r := range routes {
		if r.prefix.Bits() >= pods.Bits() && r.prefix.Overlaps(pods) {
			return r, true
		}
	}
	return route{}, false
}

// hostRoutes lists the routes of the main table except those of one link.
func hostRoutes(except string) ([]route, error) {
	list, err := listRoutes()
	if err != nil {
		return nil, err
	}
	var routes []route
	for _, r := range list {
		if r.Dst == nil {
			continue
		}
		address, valid := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if !valid || ones == 0 || err != nil || link.Attrs().Name == except {
			continue
		}
		routes = append(routes, route{netip.PrefixFrom(address.Unmap(), ones), link.Attrs().Name})
	}
	return routes, nil
}

// listRoutes lists the routes anew while others change them: then the kernel tells that its answer is not whole.
func listRoutes() (list []netlink.Route, err error) {
	for range 20 {
		if list, err = netlink.RouteList(nil, netlink.FAMILY_ALL); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}

func checkListen(ctx context.Context, cfg Config) Finding {
	if cfg.Listen == "" {
		return ok("not asked for")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	switch {
	case err == nil:
		_ = listener.Close()
		return ok("%s is free", cfg.Listen)
	case errors.Is(err, unix.EADDRINUSE):
		return fatal("stop it, or choose another address with --listen", "%s is in use%s", cfg.Listen, by(holder(cfg.Listen)))
	default:
		return fatal("choose an address of this machine with --listen", "%v", err)
	}
}
