package network

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetFlows ends what the kernel remembers of packets to the UDP host ports of a sandbox. A client that goes on sending
// would keep its flow alive, and with it the way that the port led before.
func forgetFlows(ports []PortMapping) error {
	var filters []netlink.CustomConntrackFilter
	for _, p := range ports {
		proto, err := protocolNumber(p.Protocol)
		if err != nil || proto != unix.IPPROTO_UDP {
			continue
		}
		f := &netlink.ConntrackFilter{}
		if err := errors.Join(f.AddProtocol(proto), f.AddPort(netlink.ConntrackOrigDstPort, p.HostPort)); err != nil {
			return fmt.Errorf("forget flows of host port %d: %w", p.HostPort, err)
		}
		filters = append(filters, f)
	}
	if len(filters) == 0 {
		return nil
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		_, err := whole(func() ([]struct{}, error) {
			_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filters...)
			return nil, err
		})
		if err != nil {
			return fmt.Errorf("forget flows of host ports: %w", err)
		}
	}
	return nil
}
