package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// testConfig is an instance that no other test and no Mayfly of the machine shares; it is purged afterwards.
func testConfig(t testing.TB, cidrs ...string) Config {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test needs root")
	}
	id := fmt.Sprintf("%06x", (os.Getpid()*7919+int(time.Now().UnixNano()/1000))&0xffffff)
	cfg := Config{Bridge: "mft-" + id, Table: "mayfly-test-" + id, PodCIDRs: cidrs, StateDir: filepath.Join(t.TempDir(), "network")}
	t.Cleanup(func() {
		if err := Purge(context.Background(), cfg); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

func start(t testing.TB, cfg Config) *Network {
	t.Helper()
	n, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// namespace makes a network namespace that a file keeps, as the CRI does.
func namespace(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netns")
	if err := makeNamespace(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

func makeNamespace(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
}

// inside runs work on a thread in the namespace.
func inside(t testing.TB, path string, work func() error) error {
	t.Helper()
	return thread.Do(func() error {
		ns, err := netns.GetFromPath(path)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return err
		}
		return work()
	})
}

func sandbox(t testing.TB, id string, ports ...PortMapping) Sandbox {
	t.Helper()
	return Sandbox{ID: id, Netns: namespace(t), Pod: Pod{Namespace: "default", Name: id}, Ports: ports}
}

func setup(t testing.TB, n *Network, sb Sandbox) Result {
	t.Helper()
	res, err := n.Setup(t.Context(), sb)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// serve answers every connection to addr in the namespace with the caller's address.
func serve(t testing.TB, netns, addr string) {
	t.Helper()
	answer(t, netns, addr, func(c net.Conn) string { return c.RemoteAddr().(*net.TCPAddr).IP.String() })
}

// answer says something on every connection to addr in the namespace.
func answer(t testing.TB, netns, addr string, text func(net.Conn) string) {
	t.Helper()
	err := inside(t, netns, func() error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, text(c))
				c.Close()
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// call connects from the namespace, or from the host when netns is empty, and returns what the server saw.
func call(t testing.TB, netns, addr string) (string, error) {
	t.Helper()
	var answer []byte
	dial := func() error {
		c, err := net.DialTimeout("tcp", addr, 3*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		answer, err = io.ReadAll(c)
		return err
	}
	if netns == "" {
		err := dial()
		return string(answer), err
	}
	err := inside(t, netns, dial)
	return string(answer), err
}

func TestPodsReachEachOther(t *testing.T) {
	n := start(t, testConfig(t, "10.231.0.0/24", "fd00:231::/64"))
	a, b := sandbox(t, "a"), sandbox(t, "b")
	ra, rb := setup(t, n, a), setup(t, n, b)
	if want := []netip.Addr{netip.MustParseAddr("10.231.0.2"), netip.MustParseAddr("fd00:231::2")}; !cmp.Equal(want, ra.IPs, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })) {
		t.Errorf("addresses %v, want %v", ra.IPs, want)
	}
	serve(t, b.Netns, ":7000")
	for i, ip := range rb.IPs {
		for from, want := range map[string]string{a.Netns: ra.IPs[i].String(), "": gateway(n.prefixes[i]).String()} {
			got, err := call(t, from, net.JoinHostPort(ip.String(), "7000"))
			if err != nil || got != want {
				t.Errorf("%s saw caller %q, want %q: %v", ip, got, want, err)
			}
		}
	}
	if _, err := call(t, b.Netns, "127.0.0.1:7000"); err != nil {
		t.Errorf("loopback: %v", err)
	}
}

// TestMasquerade sends from a Pod to a network behind the host and looks who the other side saw.
func TestMasquerade(t *testing.T) {
	outside := testConfig(t, "10.233.0.0/24")
	far := start(t, outside)
	remote := sandbox(t, "remote")
	res := setup(t, far, remote)
	serve(t, remote.Netns, ":7000")
	// Without the default route the far side could not answer a Pod's own address.
	if err := inside(t, remote.Netns, func() error {
		return netlink.RouteDel(&netlink.Route{Gw: net.ParseIP("10.233.0.1")})
	}); err != nil {
		t.Fatal(err)
	}
	n := start(t, testConfig(t, "10.234.0.0/24"))
	pod := sandbox(t, "pod")
	setup(t, n, pod)
	got, err := call(t, pod.Netns, res.IPs[0].String()+":7000")
	if err != nil || got != "10.233.0.1" {
		t.Errorf("far side saw %q, want the host: %v", got, err)
	}
}

func TestTeardownFreesEverything(t *testing.T) {
	n := start(t, testConfig(t, "10.235.0.0/29"))
	sb := sandbox(t, "one")
	first := setup(t, n, sb).IPs[0]
	for range 2 {
		if err := n.Teardown(t.Context(), sb.ID, sb.Netns); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := netlink.LinkByName(hostLink(n.config.Bridge, sb.ID)); err == nil {
		t.Error("the interface is left")
	}
	if left, _ := os.ReadDir(n.config.StateDir); len(left) > 0 {
		t.Errorf("state left: %v", left)
	}
	if again := setup(t, n, sandbox(t, "two")).IPs[0]; again == first {
		t.Errorf("%s was given out again at once", again)
	}
}

func TestFullNetworkSaysSoAndLeavesNothing(t *testing.T) {
	n := start(t, testConfig(t, "10.235.8.0/29"))
	for i := range 5 {
		setup(t, n, sandbox(t, fmt.Sprintf("pod%d", i)))
	}
	_, err := n.Setup(t.Context(), sandbox(t, "late"))
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "10.235.8.0/29 has no address left") {
		t.Errorf("error %v", err)
	}
	if n.ledger.get("late") != nil {
		t.Error("the failed sandbox has a record")
	}
}

func TestFailedSetupLeavesNothing(t *testing.T) {
	n := start(t, testConfig(t, "10.235.16.0/24"))
	sb := sandbox(t, "bad")
	sb.Netns = "/nowhere"
	if _, err := n.Setup(t.Context(), sb); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("error %v", err)
	}
	if n.ledger.get("bad") != nil {
		t.Error("the failed sandbox has a record")
	}
	if _, err := netlink.LinkByName(hostLink(n.config.Bridge, "bad")); err == nil {
		t.Error("the interface is left")
	}
}

func TestRestart(t *testing.T) {
	cfg := testConfig(t, "10.236.0.0/24")
	n := start(t, cfg)
	lives := sandbox(t, "lives", PortMapping{HostPort: 38081, ContainerPort: 80})
	dead, lost := sandbox(t, "dead"), sandbox(t, "lost")
	res := setup(t, n, lives)
	setup(t, n, dead)
	lostIPs := setup(t, n, lost).IPs
	if err := os.WriteFile(filepath.Join(cfg.StateDir, "lost.json"), []byte(`{"version":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	if err := n.Reconcile(t.Context(), []Living{{ID: "lives", IPs: res.IPs}, {ID: "lost", IPs: lostIPs}}); err != nil {
		t.Fatal(err)
	}
	serve(t, lives.Netns, ":80")
	if _, err := call(t, "", "127.0.0.1:38081"); err != nil {
		t.Errorf("host port after a restart: %v", err)
	}
	for name, want := range map[string]bool{"lives": true, "lost": true, "dead": false} {
		if _, err := netlink.LinkByName(hostLink(cfg.Bridge, name)); (err == nil) != want {
			t.Errorf("interface of %s: %v", name, err)
		}
	}
	fresh := setup(t, n, sandbox(t, "fresh")).IPs[0]
	if fresh == res.IPs[0] || fresh == lostIPs[0] {
		t.Errorf("%s was given out twice", fresh)
	}
}

func TestOverlapIsRefusedAndInstancesLiveSideBySide(t *testing.T) {
	first := testConfig(t, "10.237.0.0/24")
	a := start(t, first)
	_, err := New(t.Context(), testConfig(t, "10.237.0.128/25"))
	if err == nil || !strings.Contains(err.Error(), "--pod-cidr") || !strings.Contains(err.Error(), first.Bridge) {
		t.Errorf("error %v", err)
	}
	leaving := testConfig(t, "10.237.0.128/25")
	leaving.TakeDown = true
	if _, err := New(t.Context(), leaving); err != nil {
		t.Errorf("open to take down: %v", err)
	}
	if _, err := netlink.LinkByName(leaving.Bridge); err == nil {
		t.Error("what is to be taken down was made")
	}
	second := testConfig(t, "10.238.0.0/24")
	b := start(t, second)
	sa, sb := sandbox(t, "same"), sandbox(t, "same")
	ra := setup(t, a, sa)
	setup(t, b, sb)
	serve(t, sa.Netns, ":7000")
	if err := Purge(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, "", ra.IPs[0].String()+":7000"); err != nil {
		t.Errorf("the purge of one instance cut the other off: %v", err)
	}
	for _, name := range []string{second.Bridge, hostLink(second.Bridge, "same")} {
		if _, err := netlink.LinkByName(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

func BenchmarkSetup(b *testing.B) {
	n := start(b, testConfig(b, "10.240.0.0/16"))
	for i := range b.N {
		b.StopTimer()
		sb := sandbox(b, fmt.Sprintf("pod%d", i))
		b.StartTimer()
		setup(b, n, sb)
	}
}

func BenchmarkTeardown(b *testing.B) {
	n := start(b, testConfig(b, "10.240.0.0/16"))
	for i := range b.N {
		b.StopTimer()
		sb := sandbox(b, fmt.Sprintf("pod%d", i))
		setup(b, n, sb)
		b.StartTimer()
		if err := n.Teardown(b.Context(), sb.ID, sb.Netns); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"x","driver":"bridge","ips":["10.0.0.2"],"link":"mf0"}`))
	f.Add([]byte(`{"version":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openLedger(dir, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := l.allocate(Sandbox{ID: "y"}, "mf1")
		if err != nil {
			t.Fatal(err)
		}
		if old := l.get("x"); old != nil && len(old.IPs) > 0 && old.IPs[0] == rec.IPs[0] {
			t.Errorf("%s was given out twice", rec.IPs[0])
		}
	})
}
