package network

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestHostsLoopbackIsOutOfReach sends what any Pod with CAP_NET_RAW can: packets for 127.0.0.1, and from it, to the
// bridge. A packet for the gateway follows, so that nobody has to wait for what must not come.
func TestHostsLoopbackIsOutOfReach(t *testing.T) {
	n := start(t, testConfig(t, "10.232.0.0/24"))
	pod := sandbox(t, "a")
	ip := setup(t, n, pod).IPs[0].AsSlice()
	gate := gateway(n.prefixes[0]).AsSlice()
	loop := net.IPv4(127, 0, 0, 1).To4()
	guarded, open := listen(t, loop), listen(t, gate)
	bridge, err := netlink.LinkByName(n.config.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	to := bridge.Attrs().HardwareAddr
	err = inside(t, pod.Netns, func() error {
		return errors.Join(
			sendRaw(to, udp(ip, loop, port(guarded), "to loopback")),
			sendRaw(to, udp(loop, gate, port(open), "from loopback")),
			sendRaw(to, udp(ip, gate, port(open), "to the gateway")),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := receive(t, open, 10*time.Second); got != "to the gateway" {
		t.Errorf("the host received %q", got)
	}
	if got := receive(t, guarded, time.Millisecond); got != "" {
		t.Errorf("the host received %q", got)
	}
}

func listen(t *testing.T, ip net.IP) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func port(c *net.UDPConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

func receive(t *testing.T, c *net.UDPConn, within time.Duration) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(b[:n])
}

// udp makes a packet of IPv4 with UDP, whose checksum may be left out.
func udp(from, to net.IP, port uint16, text string) []byte {
	const ipHeader, udpHeader = 20, 8
	p := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(text))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(cap(p)))
	copy(p[12:], from)
	copy(p[16:], to)
	var sum uint32
	for i := 0; i < ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[20:], 40000)
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], uint16(udpHeader+len(text)))
	return append(p, text...)
}

// sendRaw puts a packet on the Pod's wire.
func sendRaw(to net.HardwareAddr, packet []byte) error {
	link, err := net.InterfaceByName(podLink)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	address := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: link.Index, Halen: 6}
	copy(address.Addr[:], to)
	return unix.Sendto(fd, packet, 0, address)
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }
