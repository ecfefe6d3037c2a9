package network

import (
	"net"
	"testing"
)

// TestPodsAreQuiet: a Pod without an address of IPv6 makes none up, for what that sends goes to every other Pod.
func TestPodsAreQuiet(t *testing.T) {
	n := start(t, testConfig(t, "10.246.0.0/24"))
	web := sandbox(t, "web")
	result := setup(t, n, web)
	err := inside(t, web.Netns, func() error {
		link, err := net.InterfaceByName(podLink)
		if err != nil {
			return err
		}
		addresses, err := link.Addrs()
		if err != nil || len(addresses) != 1 || addresses[0].(*net.IPNet).IP.String() != result.IPs[0].String() {
			t.Errorf("%s has %v instead of %v, %v", podLink, addresses, result.IPs, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
