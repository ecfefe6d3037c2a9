package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is far more than the kernel takes to put an address to use, in seconds.
const patience = 2

// newcomers are addresses of IPv6 that the kernel was given. It puts one to use a moment after it was asked to, even without
// looking for duplicates: until then it neither hears who asks for it nor takes packets to it, and what is lost is sent again
// after a second at the earliest.
type newcomers struct {
	in   *interior
	ips  []netip.Addr
	news *nl.NetlinkSocket
}

// expect is called before the kernel is given addresses.
func (in *interior) expect(ips []netip.Addr) (*newcomers, error) {
	n := &newcomers{in: in}
	for _, ip := range ips {
		if ip.Is6() {
			n.ips = append(n.ips, ip)
		}
	}
	if len(n.ips) == 0 {
		return n, nil
	}
	var err error
	if n.news, err = nl.SubscribeAt(in.ns, netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR); err != nil {
		return nil, fmt.Errorf("watch addresses of %s: %w", podLink, err)
	}
	if err := n.news.SetReceiveTimeout(&unix.Timeval{Sec: patience}); err != nil {
		n.Close()
		return nil, fmt.Errorf("watch addresses of %s: %w", podLink, err)
	}
	return n, nil
}

func (n *newcomers) Close() {
	if n.news != nil {
		n.news.Close()
	}
}

// await returns when all have a route of the type local, which is the last that the kernel does.
func (n *newcomers) await() error {
	for len(n.ips) > 0 {
		routes, err := n.in.RouteGet(n.ips[0].AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			n.ips = n.ips[1:]
			continue
		}
		if _, _, err := n.news.Receive(); errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("address %s is not in use after %d seconds", n.ips[0], patience)
		} else if err != nil {
			return fmt.Errorf("watch addresses of %s: %w", podLink, err)
		}
	}
	return nil
}
