package network

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

func TestHostPorts(t *testing.T) {
	n := start(t, testConfig(t, "10.232.0.0/24", "fd00:232::/64"))
	web := sandbox(t, "web", PortMapping{Protocol: "TCP", HostPort: 38080, ContainerPort: 80}, PortMapping{ContainerPort: 81})
	other := sandbox(t, "other")
	setup(t, n, web)
	setup(t, n, other)
	serve(t, web.Netns, ":80")
	for name, c := range map[string]struct{ from, to, seen string }{
		"loopback":            {"", "127.0.0.1:38080", "10.232.0.1"},
		"gateway":             {"", "10.232.0.1:38080", "10.232.0.1"},
		"another pod":         {other.Netns, "10.232.0.1:38080", "10.232.0.1"},
		"itself":              {web.Netns, "10.232.0.1:38080", "10.232.0.1"},
		"gateway by IPv6":     {"", "[fd00:232::1]:38080", "fd00:232::1"},
		"another pod by IPv6": {other.Netns, "[fd00:232::1]:38080", "fd00:232::1"},
		"itself by IPv6":      {web.Netns, "[fd00:232::1]:38080", "fd00:232::1"},
	} {
		if got, err := call(t, c.from, c.to); err != nil || got != c.seen {
			t.Errorf("%s: server saw %q, want %s: %v", name, got, c.seen, err)
		}
	}
	_, err := n.Setup(t.Context(), sandbox(t, "thief", PortMapping{Protocol: "TCP", HostPort: 38080, ContainerPort: 80}))
	if !errdefs.IsAlreadyExists(err) || !strings.Contains(err.Error(), "default/web") {
		t.Errorf("a taken port gives %v", err)
	}
	if err := n.Teardown(t.Context(), "web", web.Netns); err != nil {
		t.Fatal(err)
	}
	if rules := portRules(t, n.config.Table); rules != 0 {
		t.Errorf("%d rules left", rules)
	}
}

// TestHostIP has two Pods on one port, each at an address of the host's.
func TestHostIP(t *testing.T) {
	n := start(t, testConfig(t, "10.232.1.0/24", "fd00:232:1::/64"))
	var answers []string
	for _, host := range []string{"127.0.0.1", "10.232.1.1", "fd00:232:1::1"} {
		sb := sandbox(t, strings.ReplaceAll(host, ":", "-"), PortMapping{HostIP: host, HostPort: 38081, ContainerPort: 80})
		res := setup(t, n, sb)
		ip := res.IPs[0]
		if strings.Contains(host, ":") {
			ip = res.IPs[1]
		}
		answer(t, sb.Netns, ":80", func(net.Conn) string { return ip.String() })
		l := net.JoinHostPort(host, "38081")
		got, err := call(t, "", l)
		if err != nil || got != ip.String() {
			t.Errorf("%s leads to %q, want %s: %v", l, got, ip, err)
		}
		answers = append(answers, got)
	}
	if answers[0] == answers[1] {
		t.Errorf("both addresses lead to %s", answers[0])
	}
	_, err := n.Setup(t.Context(), sandbox(t, "all", PortMapping{HostIP: "0.0.0.0", HostPort: 38081, ContainerPort: 80}))
	if !errdefs.IsAlreadyExists(err) {
		t.Errorf("all addresses beside one of them: %v", err)
	}
	_, err = n.Setup(t.Context(), sandbox(t, "odd", PortMapping{HostIP: "here", HostPort: 38082, ContainerPort: 80}))
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), `"here"`) {
		t.Errorf("a hostIP that is none: %v", err)
	}
}

// TestUDPHostPortFollowsThePod has a client go on by one socket while the Pod behind the port is another.
func TestUDPHostPortFollowsThePod(t *testing.T) {
	n := start(t, testConfig(t, "10.232.2.0/24", "fd00:232:2::/64"))
	for _, address := range []string{"127.0.0.1:38083", "10.232.2.1:38083", "[fd00:232:2::1]:38083"} {
		client, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		// Nobody is there yet, but the kernel remembers the packet's way.
		if _, err := client.Write([]byte("early")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "second"} {
			sb := sandbox(t, name, PortMapping{Protocol: "UDP", HostPort: 38083, ContainerPort: 53})
			setup(t, n, sb)
			serveUDP(t, sb.Netns, 53, name)
			if got := ask(t, client); got != name {
				t.Errorf("%s: %q answered, want %s", address, got, name)
			}
			if err := n.Teardown(t.Context(), name, sb.Netns); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ask sends by a socket on which an earlier packet may have been refused, and takes the answer.
func ask(t *testing.T, client net.Conn) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	b := make([]byte, 100)
	for time.Now().Before(deadline) {
		client.Write([]byte("hello"))
		client.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := client.Read(b); err == nil {
			return string(b[:n])
		}
	}
	return ""
}

// serveUDP answers every packet by a word.
func serveUDP(t *testing.T, netns string, port int, word string) {
	t.Helper()
	err := inside(t, netns, func() error {
		l, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			b := make([]byte, 100)
			for {
				_, from, err := l.ReadFromUDP(b)
				if err != nil {
					return
				}
				l.WriteToUDP([]byte(word), from)
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSCTPHostPort looks whether the first packet of an association arrives. The kernel need not know SCTP itself for
// that, and neither does the one that tests run on.
func TestSCTPHostPort(t *testing.T) {
	n := start(t, testConfig(t, "10.232.3.0/24"))
	pod, other := sandbox(t, "pod", PortMapping{Protocol: "SCTP", HostPort: 38084, ContainerPort: 9}), sandbox(t, "other")
	setup(t, n, pod)
	setup(t, n, other)
	var in int
	if err := inside(t, pod.Netns, func() (err error) {
		in, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	if err := unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	if err := inside(t, other.Netns, func() error {
		out, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return err
		}
		defer unix.Close(out)
		return unix.Sendto(out, sctpInit(40000, 38084), 0, &unix.SockaddrInet4{Addr: [4]byte(gateway(n.prefixes[0]).As4())})
	}); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 200)
	size, _, err := unix.Recvfrom(in, packet, 0)
	if err != nil {
		t.Fatalf("nothing arrived: %v", err)
	}
	const ipHeader = 20
	if size < ipHeader+4 || binary.BigEndian.Uint16(packet[ipHeader+2:]) != 9 {
		t.Errorf("arrived: %x", packet[:size])
	}
}

// sctpInit is a packet with an INIT chunk (RFC 9260, section 3.3.2).
func sctpInit(from, to uint16) []byte {
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p, from)
	binary.BigEndian.PutUint16(p[2:], to)
	p[12] = 1                              // INIT
	p[15] = 20                             // the chunk's length
	binary.BigEndian.PutUint32(p[16:], 77) // tag
	binary.BigEndian.PutUint32(p[20:], 1<<16)
	p[25], p[27] = 1, 1 // streams out and in
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}

func portRules(t testing.TB, name string) int {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tab := table(name)
	rules, err := conn.GetRules(tab, &nftables.Chain{Name: portChain, Table: tab})
	if err != nil {
		t.Fatal(err)
	}
	return len(rules)
}
