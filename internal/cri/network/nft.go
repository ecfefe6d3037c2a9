package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	portChain = "hostports"
	// ctStatusDNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
	ctStatusDNAT = 1 << 5
)

func table(name string) *nftables.Table {
	return &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
}

// rebuildTable replaces the instance's table in one transaction, host ports of connected sandboxes included:
//
//	chain loopback    { type filter hook prerouting priority raw; iifname "mf-…" ip daddr 127.0.0.0/8 drop; the same by saddr }
//	chain prerouting  { type nat hook prerouting priority dstnat; fib daddr type local jump hostports }
//	chain output      { type nat hook output priority dstnat; fib daddr type local jump hostports }
//	chain hostports   { meta l4proto tcp th dport 8080 dnat ip to 10.88.0.2:80 … }
//	chain postrouting { type nat hook postrouting priority srcnat;
//	                    ip saddr 10.88.0.0/16 oifname != "mf-…" ip daddr != 224.0.0.0/4 masquerade
//	                    oifname "mf-…" ct status dnat ip saddr { 10.88.0.0/16, 127.0.0.0/8 } masquerade }
func rebuildTable(name, bridge string, prefixes []netip.Prefix, records []*record) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := conn.AddTable(table(name)) // so that the deletion has something to delete
	conn.DelTable(t)
	t = conn.AddTable(table(name))
	guard := conn.AddChain(&nftables.Chain{Name: "loopback", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw})
	for _, exprs := range guardLoopback(bridge) {
		conn.AddRule(&nftables.Rule{Table: t, Chain: guard, Exprs: exprs})
	}
	ports := conn.AddChain(&nftables.Chain{Name: portChain, Table: t})
	for chain, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		c := conn.AddChain(&nftables.Chain{Name: chain, Table: t, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest})
		conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: join(toThisHost(), []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: portChain}})})
	}
	post := conn.AddChain(&nftables.Chain{Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	for _, prefix := range prefixes {
		for _, exprs := range masquerade(bridge, prefix) {
			conn.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: exprs})
		}
	}
	for _, rec := range records {
		for _, exprs := range forwards(rec) {
			conn.AddRule(&nftables.Rule{Table: t, Chain: ports, Exprs: exprs, UserData: []byte(rec.ID)})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("create nftables table %s: %w", name, err)
	}
	return nil
}

// guardLoopback keeps Pods from what listens on the host's loopback alone: route_localnet, without which host ports
// would not be found at 127.0.0.1, would let their packets in (CVE-2020-8558).
func guardLoopback(bridge string) [][]expr.Any {
	drop := []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	return [][]expr.Any{
		join(incoming(bridge), within(loopback(), destination, expr.CmpOpEq), drop),
		join(incoming(bridge), within(loopback(), source, expr.CmpOpEq), drop),
	}
}

func loopback() netip.Prefix { return netip.MustParsePrefix("127.0.0.0/8") }

func masquerade(bridge string, prefix netip.Prefix) [][]expr.Any {
	masq := []expr.Any{&expr.Masq{}}
	multicast := netip.MustParsePrefix("ff00::/8")
	if prefix.Addr().Is4() {
		multicast = netip.MustParsePrefix("224.0.0.0/4")
	}
	dnat := []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(ctStatusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
	rules := [][]expr.Any{
		join(within(prefix, source, expr.CmpOpEq), outgoing(bridge, expr.CmpOpNeq), within(multicast, destination, expr.CmpOpNeq), masq),
		join(outgoing(bridge, expr.CmpOpEq), dnat, within(prefix, source, expr.CmpOpEq), masq),
	}
	if prefix.Addr().Is4() {
		rules = append(rules, join(outgoing(bridge, expr.CmpOpEq), dnat, within(loopback(), source, expr.CmpOpEq), masq))
	}
	return rules
}

func join(parts ...[]expr.Any) (all []expr.Any) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func toThisHost() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func incoming(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: padded(name)}}
}

func outgoing(name string, op expr.CmpOp) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: padded(name)}}
}

func padded(name string) []byte {
	out := make([]byte, unix.IFNAMSIZ)
	copy(out, name)
	return out
}

// side is an address of a packet.
type side bool

const (
	source      side = false
	destination side = true
)

// place is where the address stands in the header of its family.
func (s side) place(is4 bool) (offset, size uint32) {
	switch {
	case is4 && s == source:
		return 12, 4
	case is4:
		return 16, 4
	case s == source:
		return 8, 16
	}
	return 24, 16
}

func ofFamily(addr netip.Addr) []expr.Any {
	proto := byte(unix.NFPROTO_IPV6)
	if addr.Is4() {
		proto = unix.NFPROTO_IPV4
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

func within(prefix netip.Prefix, s side, op expr.CmpOp) []expr.Any {
	offset, size := s.place(prefix.Addr().Is4())
	mask := make([]byte, size)
	for i := range prefix.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return join(ofFamily(prefix.Addr()), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	})
}

func protocolNumber(name string) (byte, error) {
	switch strings.ToLower(name) {
	case "tcp", "":
		return unix.IPPROTO_TCP, nil
	case "udp":
		return unix.IPPROTO_UDP, nil
	case "sctp":
		return unix.IPPROTO_SCTP, nil
	}
	return 0, fmt.Errorf("protocol %q is none of tcp, udp, sctp: %w", name, errdefs.ErrInvalidArgument)
}

// forwards are the rules of a sandbox's host ports: one per port and family.
func forwards(rec *record) (rules [][]expr.Any) {
	for _, p := range rec.Ports {
		proto, err := protocolNumber(p.Protocol)
		if err != nil {
			continue // checked when it was allocated
		}
		host, err := netip.ParseAddr(p.HostIP)
		limited := err == nil && !host.IsUnspecified()
		for _, ip := range rec.IPs {
			if limited && host.Is4() != ip.Is4() {
				continue
			}
			match := ofFamily(ip)
			if limited {
				match = within(netip.PrefixFrom(host, host.BitLen()), destination, expr.CmpOpEq)
			}
			rules = append(rules, join(match, forward(proto, p, ip)))
		}
	}
	return rules
}

func forward(proto byte, p PortMapping, to netip.Addr) []expr.Any {
	nfproto := uint32(unix.NFPROTO_IPV6)
	if to.Is4() {
		nfproto = unix.NFPROTO_IPV4
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p.HostPort)},
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(p.ContainerPort)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: nfproto, RegAddrMin: 1, RegProtoMin: 2, Specified: true},
	}
}

func addPorts(name string, rec *record) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := table(name)
	for _, exprs := range forwards(rec) {
		conn.AddRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: portChain, Table: t}, Exprs: exprs, UserData: []byte(rec.ID)})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("forward host ports: %w", err)
	}
	return nil
}

// removePorts deletes the rules that carry the sandbox's ID.
func removePorts(name, id string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := table(name)
	chain := &nftables.Chain{Name: portChain, Table: t}
	rules, err := conn.GetRules(t, chain)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list host ports: %w", err)
	}
	for _, r := range rules {
		if string(r.UserData) == id {
			r.Table, r.Chain = t, chain
			if err := conn.DelRule(r); err != nil {
				return fmt.Errorf("stop host port: %w", err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("stop host ports: %w", err)
	}
	return nil
}

func removeTable(name string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := conn.AddTable(table(name)) // deleting what is not there would fail
	conn.DelTable(t)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}
