package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Bandwidth limits a Pod, in bits per second; zero is no limit. Ingress is what it receives.
type Bandwidth struct {
	Ingress uint64 `json:"ingress,omitempty"`
	Egress  uint64 `json:"egress,omitempty"`
}

// limit holds each direction where it leaves an interface: what the Pod receives at the host's end, what it sends at
// its own, which a container that may administrate the network could change.
func (b Bandwidth) limit(in *interior, host, pod netlink.Link) error {
	if b.Ingress != 0 {
		if err := netlink.QdiscAdd(bucket(host, b.Ingress)); err != nil {
			return fmt.Errorf("limit what the pod receives to %d bits per second: %w", b.Ingress, err)
		}
	}
	if b.Egress != 0 {
		if err := in.QdiscAdd(bucket(pod, b.Egress)); err != nil {
			return fmt.Errorf("limit what the pod sends to %d bits per second: %w", b.Egress, err)
		}
	}
	return nil
}

// bucket is a token bucket that holds 50 ms of its rate, and two packets at least; as much may wait for it.
func bucket(link netlink.Link, bits uint64) *netlink.Tbf {
	const perSecond = 20 // parts of the rate
	rate := bits / 8
	size := uint32(max(min(rate/perSecond, 1<<30), uint64(2*link.Attrs().MTU)))
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate, Limit: 2 * size, Buffer: netlink.Xmittime(rate, size),
	}
}
