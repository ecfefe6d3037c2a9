package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// podLink is the name of a Pod's interface, as every CNI plugin has it.
const podLink = "eth0"

// bridge is the host's side of the instance's network.
type bridge struct {
	index    int
	mtu      int
	prefixes []netip.Prefix
}

// hostLink names the host's end of a sandbox's veth pair, differently for every instance.
func hostLink(bridge, sandboxID string) string {
	sum := sha256.Sum256([]byte(bridge + "\x00" + sandboxID))
	return "mf" + hex.EncodeToString(sum[:6])
}

// checkRoutes refuses a Pod network that reaches into one that the host routes elsewhere, since either the Pods or
// that network would be cut off.
func checkRoutes(name string, prefixes []netip.Prefix) error {
	own := -1
	if link, err := netlink.LinkByName(name); err == nil {
		own = link.Attrs().Index
	}
	for _, prefix := range prefixes {
		routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, family(prefix.Addr())) })
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			other, ok := routePrefix(r.Dst)
			if !ok || r.LinkIndex == own || !other.Overlaps(prefix) {
				continue
			}
			return fmt.Errorf("pod network %s overlaps the route to %s by %s of this machine: choose another with --pod-cidr: %w",
				prefix, other, linkName(r.LinkIndex), errdefs.ErrAlreadyExists)
		}
	}
	return nil
}

// whole lists again while others change what is listed: the kernel gives a list in pieces, and tells when they may not
// fit together.
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	const attempts = 20
	for range attempts {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, err
}

// routePrefix leaves out default routes, which every network overlaps, and link-local and multicast ones of IPv6.
func routePrefix(dst *net.IPNet) (netip.Prefix, bool) {
	if dst == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(dst.IP)
	bits, _ := dst.Mask.Size()
	if !ok || bits == 0 {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, bits), !addr.IsLinkLocalUnicast() && !addr.IsMulticast()
}

func linkName(index int) string {
	if link, err := netlink.LinkByIndex(index); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprintf("interface %d", index)
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// openBridge finds or makes the bridge and gives it the gateways' addresses. Its MAC address is fixed, or else it would
// change with its ports.
func openBridge(name string, prefixes []netip.Prefix) (*bridge, error) {
	mtu := uplinkMTU()
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.HardwareAddr = name, mtu, hardwareAddr(name)
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("create bridge %s: %w", name, err)
		}
		link, err = netlink.LinkByName(name)
	}
	if err != nil {
		return nil, fmt.Errorf("find bridge %s: %w", name, err)
	}
	if link.Type() != "bridge" {
		return nil, fmt.Errorf("interface %s is a %s, not a bridge: %w", name, link.Type(), errdefs.ErrAlreadyExists)
	}
	if err := setAddresses(link, prefixes); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("bring bridge %s up: %w", name, err)
	}
	return &bridge{index: link.Attrs().Index, mtu: mtu, prefixes: prefixes}, nil
}

// setAddresses gives the bridge the gateways of the networks and takes others away, which an earlier --pod-cidr left.
func setAddresses(link netlink.Link, prefixes []netip.Prefix) error {
	present, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	wanted := map[string]*netlink.Addr{}
	for _, prefix := range prefixes {
		addr := address(gateway(prefix), prefix.Bits())
		wanted[addr.IPNet.String()] = addr
	}
	for _, addr := range present {
		if _, ok := wanted[addr.IPNet.String()]; ok {
			delete(wanted, addr.IPNet.String())
		} else if !addr.IP.IsLinkLocalUnicast() {
			if err := netlink.AddrDel(link, &addr); err != nil {
				return fmt.Errorf("remove address %s of %s: %w", addr.IPNet, link.Attrs().Name, err)
			}
		}
	}
	for _, addr := range wanted {
		if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add address %s to %s: %w", addr.IPNet, link.Attrs().Name, err)
		}
	}
	return nil
}

// address has no duplicate address detection: the ledger gives each out once, and waiting takes seconds.
func address(ip netip.Addr, bits int) *netlink.Addr {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, ip.BitLen())}}
	if ip.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

func hardwareAddr(name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(name))
	addr := net.HardwareAddr(sum[:6])
	addr[0] = addr[0]&^1 | 2 // unicast, locally administered
	return addr
}

// uplinkMTU is the MTU of the interface that leads to the world, so that Pods send nothing too big for it.
func uplinkMTU() int {
	const ethernet = 1500
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return ethernet
	}
	for _, r := range routes {
		if _, specific := routePrefix(r.Dst); specific || r.LinkIndex == 0 {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU
		}
	}
	return ethernet
}

// connect makes the veth pair, one end in the namespace, and configures both.
func (b *bridge) connect(rec *record, path string) error {
	in, err := enter(path)
	if err != nil {
		return err
	}
	defer in.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.Flags = rec.Link, b.mtu, b.index, net.FlagUp
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU, pair.PeerNamespace = podLink, uint32(b.mtu), netlink.NsFd(int(in.ns))
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("create interface %s: %w", rec.Link, err)
	}
	if err := netlink.LinkSetHairpin(pair, true); err != nil {
		return fmt.Errorf("let %s talk to itself: %w", rec.Link, err)
	}
	return b.configure(in, pair, rec)
}

// interior is a network namespace that is configured from without.
type interior struct {
	*netlink.Handle
	ns netns.NsHandle
}

func enter(path string) (*interior, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return &interior{handle, ns}, nil
}

func (in *interior) Close() {
	in.Handle.Close()
	in.ns.Close()
}

func (in *interior) loopbackUp() error {
	const index = 1
	if err := in.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	return nil
}

// configure sets up the Pod's side: loopback, addresses, default routes; and limits both sides.
func (b *bridge) configure(in *interior, host netlink.Link, rec *record) error {
	if err := in.loopbackUp(); err != nil {
		return err
	}
	link, err := in.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("find %s: %w", podLink, err)
	}
	coming, err := in.expect(rec.IPs)
	if err != nil {
		return err
	}
	defer coming.Close()
	for i, ip := range rec.IPs {
		if err := in.AddrAdd(link, address(ip, b.prefixes[i].Bits())); err != nil {
			return fmt.Errorf("add address %s: %w", ip, err)
		}
	}
	if err := b.quieten(in, link); err != nil {
		return err
	}
	if err := in.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", podLink, err)
	}
	if err := errors.Join(settle(netlink.LinkByIndex, host.Attrs().Index, b.index), settle(in.LinkByIndex, link.Attrs().Index)); err != nil {
		return err
	}
	if err := coming.await(); err != nil {
		return err
	}
	for _, prefix := range b.prefixes {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway(prefix).AsSlice()}
		if err := in.RouteAdd(route); err != nil {
			return fmt.Errorf("add default route by %s: %w", gateway(prefix), err)
		}
	}
	return rec.Bandwidth.limit(in, host, link)
}

// quieten keeps a Pod without an address of IPv6 from announcing a link-local one: ten packets in its first seconds, of
// which each of hundreds of Pods would get a copy.
func (b *bridge) quieten(in *interior, link netlink.Link) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	if slices.ContainsFunc(b.prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return nil
	}
	err := in.LinkSetIP6AddrGenMode(link, none)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) { // a kernel without IPv6
		return fmt.Errorf("keep %s from making up addresses: %w", podLink, err)
	}
	return nil
}

// settle has interfaces carry packets from now on, the host's end before the bridge, whose first port it may be. They got
// their carrier when the Pod's end came up, but the kernel would act on that later (its link watch) and drop the Pod's
// first packets, and multicast to it: a second for a TCP connection, until its SYN is sent again. Since Linux 6.8, asking
// for an interface makes it act at once.
func settle(ask func(index int) (netlink.Link, error), indexes ...int) error {
	for _, index := range indexes {
		if _, err := ask(index); err != nil {
			return fmt.Errorf("find interface %d: %w", index, err)
		}
	}
	return nil
}

func removeLink(name string) error {
	if name == "" {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove interface %s: %w", name, err)
	}
	return nil
}

// removePortsOf removes the interfaces at the bridge that keep does not name. They go as a group: after each removal the
// kernel waits for all processors to have let go of it, tens of milliseconds on a busy machine, with its lock of the
// network held.
func removePortsOf(name string, keep map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join("/sys/class/net", name, "brif"))
	if err != nil {
		return ignoreMissing(err)
	}
	group := 1 + rand.Int32N(math.MaxInt32) // 0 is everybody's
	grouped := false
	var errs []error
	for _, entry := range entries {
		if keep[entry.Name()] {
			continue
		}
		link, err := netlink.LinkByName(entry.Name())
		if err == nil {
			err = netlink.LinkSetGroup(link, int(group))
		}
		switch {
		case err == nil:
			grouped = true
		case !errors.As(err, &netlink.LinkNotFoundError{}) && !errors.Is(err, unix.ENODEV):
			errs = append(errs, fmt.Errorf("group interface %s: %w", entry.Name(), err))
		}
	}
	if grouped {
		errs = append(errs, removeGroup(uint32(group)))
	}
	return errors.Join(errs...)
}

// removeGroup removes the interfaces of a group, see rtnetlink(7) and IFLA_GROUP of linux/if_link.h.
func removeGroup(group uint32) error {
	request := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(group)))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove interfaces of group %d: %w", group, err)
	}
	return nil
}

// allowForwarding lets packets through the host and from its loopback to the Pods. The error says what to set by hand.
func allowForwarding(bridge string, prefixes []netip.Prefix) error {
	var errs []error
	for _, prefix := range prefixes {
		if prefix.Addr().Is6() {
			errs = append(errs, sysctl("net/ipv6/conf/all/forwarding"))
			continue
		}
		errs = append(errs, sysctl("net/ipv4/ip_forward"), sysctl("net/ipv4/conf/"+bridge+"/route_localnet"))
	}
	return errors.Join(errs...)
}

// sysctl sets a switch unless it is on.
func sysctl(name string) error {
	path := filepath.Join("/proc/sys", name)
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 && data[0] == '1' {
		return nil
	}
	if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
		return fmt.Errorf("set %s: %w; set it to 1 by sysctl", name, err)
	}
	return nil
}
