package network

import (
	"testing"

	"github.com/vishvananda/netlink"
)

func TestBandwidth(t *testing.T) {
	n := start(t, testConfig(t, "10.241.0.0/24"))
	for name, limit := range map[string]Bandwidth{"both": {Ingress: 1e3, Egress: 1e15}, "one": {Egress: 8e6}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			sb := sandbox(t, name)
			sb.Bandwidth = limit
			setup(t, n, sb)
			host, err := netlink.LinkByName(hostLink(n.config.Bridge, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := rateOf(t, host); got != limit.Ingress {
				t.Errorf("the pod may receive %d bits per second, want %d", got, limit.Ingress)
			}
			if err := inside(t, sb.Netns, func() error {
				pod, err := netlink.LinkByName(podLink)
				if err != nil {
					return err
				}
				if got := rateOf(t, pod); got != limit.Egress {
					t.Errorf("the pod may send %d bits per second, want %d", got, limit.Egress)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			serve(t, sb.Netns, ":80")
			if _, err := call(t, "", n.ledger.get(name).IPs[0].String()+":80"); err != nil {
				t.Errorf("nothing gets through: %v", err)
			}
		})
	}
}

// rateOf is the limit of what leaves an interface, zero for none.
func rateOf(t *testing.T, link netlink.Link) uint64 {
	t.Helper()
	handle, err := netlink.NewHandle() // of this thread's namespace
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	list, err := handle.QdiscList(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		if bucket, ok := q.(*netlink.Tbf); ok {
			return bucket.Rate * 8
		}
	}
	return 0
}
