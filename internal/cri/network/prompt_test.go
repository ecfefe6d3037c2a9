package network

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestPrompt: whoever knows a Pod's address reaches it from the moment that it is told, and the Pod the host. A question for
// a neighbor that is lost is asked again after a second.
func TestPrompt(t *testing.T) {
	n := start(t, testConfig(t, "10.247.0.0/24", "fd00:247::/64"))
	dial := func(addr string) error {
		c, err := (&net.Dialer{Timeout: 900 * time.Millisecond}).Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	for i := range 10 {
		pod := sandbox(t, fmt.Sprint("pod", i))
		for j, ip := range setup(t, n, pod).IPs {
			addr := netip.AddrPortFrom(ip, 80).String()
			serve(t, pod.Netns, addr)
			if err := dial(addr); err != nil {
				t.Errorf("reach pod %d: %v", i, err)
			}
			host, err := net.Listen("tcp", []string{"10.247.0.1:0", "[fd00:247::1]:0"}[j])
			if err != nil {
				t.Fatal(err)
			}
			if err := inside(t, pod.Netns, func() error { return dial(host.Addr().String()) }); err != nil {
				t.Errorf("reach the host from pod %d: %v", i, err)
			}
			host.Close()
		}
	}
}
