package network

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/test/setting"
)

// The test of crashes takes its number of rounds and the seed of its choices from these; the last is a victim's.
const (
	crashRounds = "MAYFLY_CRASH_ROUNDS"
	crashSeed   = "MAYFLY_CRASH_SEED"
	crashVictim = "MAYFLY_CRASH_VICTIM"
)

// TestCrashes kills a process at random moments while it connects and disconnects sandboxes, by either driver. Whoever
// comes after it must know the addresses that it told, must find none given out twice, and after it has removed what is
// gone nothing may be left: no interface, address, rule, lease or file.
func TestCrashes(t *testing.T) {
	if dir := os.Getenv(crashVictim); dir != "" {
		connectForever(t, dir)
	}
	rounds, seed := setting.Number(t, crashRounds, 8), uint64(setting.Number(t, crashSeed, int(time.Now().UnixNano()%1e9)))
	t.Logf("%s=%d %s=%d", crashRounds, rounds, crashSeed, seed)
	for name, byCNI := range map[string]bool{"bridge": false, "CNI": true} {
		t.Run(name, func(t *testing.T) {
			h := newCNIHost(t)
			h.configure("1.0.0")
			t.Cleanup(func() { h.unmount() })
			c := &crashes{cniHost: h, random: rand.New(rand.NewPCG(seed, 1)), living: map[string][]netip.Addr{}}
			c.longest = time.Second
			if !byCNI {
				h.CNIConfDir, c.longest = "", 250*time.Millisecond
			}
			for round := range rounds {
				c.crash(round)
				c.verify(3)
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			c.verify(0)
			t.Logf("%d were connected, %d disconnected, as far as was told", c.connected, c.disconnected)
			if left, _ := os.ReadDir(h.StateDir); slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() != "cni" }) {
				t.Errorf("state is left: %v", left)
			}
		})
	}
}

// crashes is what the victims told.
type crashes struct {
	*cniHost
	random                  *rand.Rand
	longest                 time.Duration // that a victim lives
	living                  map[string][]netip.Addr
	connected, disconnected int
}

// crash runs a victim until a random moment after its first word.
func (c *crashes) crash(round int) {
	c.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashes$")
	cmd.Env = append(os.Environ(), crashVictim+"="+c.dir, "CONF="+c.CNIConfDir, "ROUND="+strconv.Itoa(round))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = c.do(cmd.Start)
	}
	if err != nil {
		c.Fatal(err)
	}
	words := bufio.NewScanner(out)
	for words.Scan() {
		word := strings.Fields(words.Text())
		switch word[0] {
		case "ready":
			time.AfterFunc(time.Duration(c.random.Int64N(int64(c.longest))), func() { cmd.Process.Kill() })
		case "connected":
			c.connected++
			c.living[word[1]] = nil
			for _, ip := range word[2:] {
				c.living[word[1]] = append(c.living[word[1]], netip.MustParseAddr(ip))
			}
		case "disconnecting":
			delete(c.living, word[1])
		case "disconnected":
			c.disconnected++
		default:
			c.Errorf("the victim says %q", words.Text())
		}
	}
	cmd.Wait()
}

// verify keeps some of the living, and looks at all that is there.
func (c *crashes) verify(keep int) {
	c.Helper()
	n := c.open()
	var living []Living
	for id, ips := range c.living {
		rec := n.ledger.get(id)
		if rec == nil || !slices.Equal(rec.IPs, ips) {
			c.Errorf("%s was told to have %v, and has %+v", id, ips, rec)
		}
		if len(living) < keep {
			living = append(living, Living{ID: id, IPs: ips})
		} else {
			delete(c.living, id)
		}
	}
	if err := c.do(func() error { return n.Reconcile(c.Context(), living) }); err != nil {
		c.Error(err)
	}
	holder := map[netip.Addr]string{}
	links := 0
	for _, rec := range n.ledger.all() {
		if _, lives := c.living[rec.ID]; !lives {
			c.Errorf("%s is still connected", rec.ID)
		}
		for _, ip := range rec.IPs {
			if holder[ip] != "" {
				c.Errorf("%s was given to %s and %s", ip, holder[ip], rec.ID)
			}
			holder[ip] = rec.ID
		}
		links++
	}
	c.count("interfaces", links, c.interfaces())
	if n.plugged {
		c.count("leases", links, len(c.leases()))
		return
	}
	rules := 0
	c.do(func() error { rules = portRules(c, c.Table); return nil })
	c.count("rules of host ports", 2*links, rules)
}

func (c *crashes) count(what string, want, got int) {
	c.Helper()
	if got != want {
		c.Errorf("%d %s, want %d", got, what, want)
	}
}

// interfaces counts the host's ends of Pods' interfaces.
func (c *crashes) interfaces() (count int) {
	c.Helper()
	if err := c.do(func() error {
		handle, err := enter(c.netns)
		if err != nil {
			return err
		}
		defer handle.Close()
		list, err := handle.LinkList()
		for _, link := range list {
			if link.Type() == "veth" {
				count++
			}
		}
		return err
	}); err != nil {
		c.Error(err)
	}
	return count
}

func (h *cniHost) unmount() {
	for _, path := range h.namespaces() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			h.Error(err)
		}
	}
}

func (h *cniHost) namespaces() []string {
	list, err := filepath.Glob(h.dir + "/pod-*")
	if err != nil {
		h.Fatal(err)
	}
	return list
}

// connectForever is the victim.
func connectForever(t *testing.T, dir string) {
	n, err := New(t.Context(), Config{
		Bridge: "mft-cni", Table: "mayfly-test-cni", PodCIDRs: []string{"10.88.0.0/24", "fd00:88::/64"}, StateDir: filepath.Join(dir, "state"),
		CNIConfDir: os.Getenv("CONF"), CNIBinDirs: []string{plugins},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	round, err := strconv.Atoi(os.Getenv("ROUND"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		id := fmt.Sprintf("pod-%d-%d", round, i)
		path := filepath.Join(dir, id)
		err := makeNamespace(path)
		var res Result
		if err == nil {
			port := PortMapping{HostPort: uint16(20000 + 500*round + i), ContainerPort: 80}
			res, err = n.Setup(context.Background(), Sandbox{ID: id, Netns: path, Pod: Pod{Namespace: "default", Name: id}, Ports: []PortMapping{port}})
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("connected", id, strings.Trim(fmt.Sprint(res.IPs), "[]"))
		if i%3 == 0 {
			continue
		}
		fmt.Println("disconnecting", id)
		if err := n.Teardown(context.Background(), id, path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("disconnected", id)
	}
}
