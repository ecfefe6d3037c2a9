package network

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
)

// plugins is where `make tools` puts Debian's.
const plugins = "../../../bin/cni"

// cniHost is a host of its own, as far as networks go, with a directory for CNI's configuration and one for plugins.
type cniHost struct {
	testing.TB
	Config
	dir, netns string
}

func newCNIHost(t testing.TB) *cniHost {
	t.Helper()
	dir := t.TempDir()
	h := &cniHost{TB: t, dir: dir, netns: namespace(t), Config: Config{
		Bridge: "mft-cni", Table: "mayfly-test-cni", PodCIDRs: []string{"10.88.0.0/16"}, StateDir: filepath.Join(dir, "state"),
		CNIConfDir: filepath.Join(dir, "net.d"), CNIBinDirs: []string{filepath.Join(dir, "bin"), plugins},
	}}
	for _, d := range []string{h.CNIConfDir, h.CNIBinDirs[0]} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in, err := enter(h.netns)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := in.loopbackUp(); err != nil {
		t.Fatal(err)
	}
	return h
}

// do runs on the host. What is executed there stays there, for libcni calls its plugins by the thread that it is called on.
func (h *cniHost) do(f func() error) error { return inside(h, h.netns, f) }

func (h *cniHost) open() *Network {
	h.Helper()
	var n *Network
	if err := h.do(func() (err error) { n, err = New(h.Context(), h.Config); return }); err != nil {
		h.Fatal(err)
	}
	return n
}

func (h *cniHost) setup(n *Network, sb Sandbox) (res Result, err error) {
	err = h.do(func() error { res, err = n.Setup(h.Context(), sb); return err })
	return res, err
}

func (h *cniHost) teardown(n *Network, sb Sandbox) error {
	return h.do(func() error { return n.Teardown(h.Context(), sb.ID, sb.Netns) })
}

func (h *cniHost) write(path, content string, mode os.FileMode) {
	h.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		h.Fatal(err)
	}
}

// configure writes the configuration of a network "pods": Debian's bridge and host-local, and what is given besides.
func (h *cniHost) configure(version string, more ...string) {
	h.Helper()
	bridge := `{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipam":{"type":"host-local","dataDir":"` + h.dir + `/leases",
		"ranges":[[{"subnet":"10.199.0.0/24"}],[{"subnet":"fd00:199::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}}`
	list := `{"cniVersion":"` + version + `","name":"pods","plugins":[` + strings.Join(append([]string{bridge}, more...), ",") + `]}`
	h.write(filepath.Join(h.CNIConfDir, "10-pods.conflist"), list, 0o600)
}

// plugin is a shell script that says that it knows the newest version, and then does what is given for each command.
func (h *cniHost) plugin(name string, commands map[string]string) {
	script := "#!/bin/sh\ninput=$(cat)\ncase $CNI_COMMAND in\n" +
		`VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}';;` + "\n"
	for command, does := range commands {
		script += command + ")\n" + does + ";;\n"
	}
	h.write(filepath.Join(h.CNIBinDirs[0], name), script+"esac\n", 0o755)
}

// answers is an ADD that claims an address.
const answers = `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.199.0.9/24"}]}'`

// leases are the addresses that host-local holds.
func (h *cniHost) leases() (list []string) {
	h.Helper()
	found, err := filepath.Glob(h.dir + "/leases/pods/*.*.*.*")
	if err != nil {
		h.Fatal(err)
	}
	for _, path := range found {
		list = append(list, filepath.Base(path))
	}
	return list
}

// check has the plugins look at what they did.
func (h *cniHost) check(sb Sandbox) {
	h.Helper()
	n := h.open()
	rec := n.ledger.get(sb.ID)
	list, err := rec.Conf.list()
	if err == nil {
		err = h.do(func() error { return n.cni.plugins.CheckNetworkList(h.Context(), list, attachment(rec, sb.Netns)) })
	}
	if err != nil {
		h.Errorf("the plugins find fault with what they did: %v", err)
	}
}

// clean looks for what is left of a sandbox.
func (h *cniHost) clean(n *Network, sb Sandbox) {
	h.Helper()
	if leases := h.leases(); len(leases) > 0 {
		h.Errorf("addresses are left: %v", leases)
	}
	if n.ledger.get(sb.ID) != nil {
		h.Error("a record is left")
	}
	if err := inside(h, sb.Netns, func() error {
		if _, err := netlink.LinkByName(podLink); err == nil {
			return errors.New("eth0 is left")
		}
		return nil
	}); err != nil {
		h.Error(err)
	}
	if left, _ := filepath.Glob(h.StateDir + "/cni/results/*"); len(left) > 0 {
		h.Errorf("answers are left: %v", left)
	}
}

func TestCNIByDebiansPlugins(t *testing.T) {
	h := newCNIHost(t)
	h.configure("1.0.0", `{"type":"portmap","capabilities":{"portMappings":true}}`)
	n := h.open()
	if err := n.Status(); err != nil {
		t.Error(err)
	}
	web := sandbox(t, "web", PortMapping{Protocol: "TCP", HostPort: 38090, ContainerPort: 80})
	other := sandbox(t, "other")
	var ips [2]Result
	for i, sb := range []Sandbox{web, other} {
		res, err := h.setup(n, sb)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.IPs) != 2 || !res.IPs[0].Is4() || !res.IPs[1].Is6() {
			t.Fatalf("addresses %v", res.IPs)
		}
		ips[i] = res
	}
	serve(t, web.Netns, ":80")
	for name, c := range map[string]struct{ from, to string }{
		"pod to pod":            {other.Netns, net.JoinHostPort(ips[0].IPs[0].String(), "80")},
		"the same by IPv6":      {other.Netns, net.JoinHostPort(ips[0].IPs[1].String(), "80")},
		"host port":             {other.Netns, "10.199.0.1:38090"},
		"host port by IPv6":     {other.Netns, "[fd00:199::1]:38090"},
		"host port of the host": {h.netns, "127.0.0.1:38090"},
		"loopback":              {web.Netns, "127.0.0.1:80"},
	} {
		if _, err := call(t, c.from, c.to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, sb := range []Sandbox{web, other, web} {
		if err := h.teardown(n, sb); err != nil {
			t.Error(err)
		}
	}
	h.clean(n, web)
	h.clean(n, other)
	if _, err := call(t, h.netns, "127.0.0.1:38090"); err == nil {
		t.Error("the host port is left")
	}
}

// TestCNISurvivesItsConfiguration connects by one configuration and disconnects when there is another, or none.
func TestCNISurvivesItsConfiguration(t *testing.T) {
	for name, change := range map[string]func(h *cniHost) error{
		"gone":    func(h *cniHost) error { return os.Remove(h.CNIConfDir + "/10-pods.conflist") },
		"damaged": func(h *cniHost) error { return os.WriteFile(h.CNIConfDir+"/10-pods.conflist", []byte("{"), 0o600) },
		"refused": func(h *cniHost) error { h.CNIConfDir = ""; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newCNIHost(t)
			h.configure("0.4.0")
			sb, dead := sandbox(t, "pod"), sandbox(t, "dead")
			for _, sb := range []Sandbox{sb, dead} {
				if _, err := h.setup(h.open(), sb); err != nil {
					t.Fatal(err)
				}
			}
			h.check(sb)
			if err := change(h); err != nil {
				t.Fatal(err)
			}
			n := h.open()
			if err := h.do(func() error { return n.Reconcile(t.Context(), []Living{{ID: "pod"}}) }); err != nil {
				t.Error(err)
			}
			if leases := h.leases(); len(leases) != 1 {
				t.Errorf("addresses %v, want that of the living one", leases)
			}
			if err := h.teardown(n, sb); err != nil {
				t.Error(err)
			}
			h.clean(n, sb)
			h.clean(n, dead)
		})
	}
}

func TestCNIPluginThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		add  string
		want []string
	}{
		"by the rules":  {`echo '{"cniVersion":"1.0.0","code":11,"msg":"out of coffee","details":"the pot is empty"}'; exit 1`, []string{"out of coffee; the pot is empty"}},
		"by a word":     {`echo "cannot go on" >&2; exit 3`, []string{"cannot go on", "exit status 3"}},
		"silently":      {`exit 4`, []string{"exit status 4", "no word"}},
		"with nonsense": {`echo hello`, []string{"last"}},
		"by a signal":   {`kill -9 $$`, []string{"killed"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newCNIHost(t)
			h.configure("1.0.0", `{"type":"last"}`)
			h.plugin("last", map[string]string{"ADD": tc.add})
			n, sb := h.open(), sandbox(t, "pod")
			_, err := h.setup(n, sb)
			for _, want := range append(tc.want, "default/pod", "network pods", `"last"`) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %s", err, want)
				}
			}
			h.clean(n, sb)
		})
	}
}

func TestCNIPluginThatHangs(t *testing.T) {
	h := newCNIHost(t)
	h.configure("1.0.0", `{"type":"slow"}`)
	pids := filepath.Join(h.dir, "pids")
	// Its child holds the output open, and would do so for long after it.
	h.plugin("slow", map[string]string{"ADD": "sleep 1000 & echo $$ $! >" + pids + "; wait"})
	h.PluginTimeout = 2 * time.Second
	n, sb := h.open(), sandbox(t, "pod")
	_, err := h.setup(n, sb)
	if err == nil || !strings.Contains(err.Error(), "no answer within 2s") || !strings.Contains(err.Error(), `"slow"`) {
		t.Errorf("error %v", err)
	}
	h.clean(n, sb)
	written, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(written)) {
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %s is left: %s", pid, stat)
		}
	}
}

// TestCNIAbandoned has a plugin that can neither connect nor disconnect for a while, and must not cost an address.
func TestCNIAbandoned(t *testing.T) {
	h := newCNIHost(t)
	h.configure("1.0.0", `{"type":"moody"}`)
	broken := filepath.Join(h.dir, "broken")
	h.write(broken, "", 0o600)
	h.plugin("moody", map[string]string{
		"ADD": "[ -e " + broken + " ] && exit 1; " + answers, "DEL": "[ -e " + broken + " ] && exit 1; true",
	})
	n, first, second := h.open(), sandbox(t, "first"), sandbox(t, "second")
	if _, err := h.setup(n, first); err == nil || !strings.Contains(err.Error(), "disconnect pod default/first") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if _, err := h.setup(n, second); err != nil {
		t.Fatal(err)
	}
	if leases := h.leases(); len(leases) != 1 {
		t.Errorf("addresses %v", leases)
	}
	if err := h.teardown(n, second); err != nil {
		t.Error(err)
	}
	h.clean(n, first)
	h.clean(n, second)
}

func TestCNIPluginsAreTold(t *testing.T) {
	h := newCNIHost(t)
	h.configure("1.0.0", `{"type":"curious","capabilities":{"portMappings":true,"bandwidth":true}}`)
	h.plugin("curious", map[string]string{
		"ADD": `echo "$CNI_ARGS" >` + h.dir + `/args; echo "$input" >` + h.dir + "/input; " + answers, "DEL": "echo $CNI_CONTAINERID $CNI_IFNAME >" + h.dir + "/del",
	})
	n, sb := h.open(), sandbox(t, "pod", PortMapping{Protocol: "udp", HostIP: "127.0.0.1", HostPort: 5353, ContainerPort: 53}, PortMapping{ContainerPort: 9})
	sb.Pod.UID, sb.Bandwidth = "u1", Bandwidth{Ingress: 1000, Egress: 2000}
	if _, err := h.setup(n, sb); err != nil {
		t.Fatal(err)
	}
	if err := h.teardown(n, sb); err != nil {
		t.Error(err)
	}
	for file, words := range map[string][]string{
		"args":  {"K8S_POD_NAMESPACE=default", "K8S_POD_NAME=pod", "K8S_POD_UID=u1", "K8S_POD_INFRA_CONTAINER_ID=pod", "IgnoreUnknown=1"},
		"input": {`"portMappings":[{"containerPort":53,"hostIP":"127.0.0.1","hostPort":5353,"protocol":"udp"}]`, `"ingressRate":1000`, `"egressRate":2000`, `"ingressBurst":4294967295`},
		"del":   {"pod eth0"},
	} {
		text, err := os.ReadFile(filepath.Join(h.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s does not say %s: %s", file, word, text)
			}
		}
	}
}

func TestCNIStatus(t *testing.T) {
	h := newCNIHost(t)
	n := h.open()
	notReady := func(want string) {
		t.Helper()
		if err := h.do(n.Status); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %v does not say %s", err, want)
		}
	}
	notReady("no CNI configuration in " + h.CNIConfDir)
	if _, err := h.setup(n, sandbox(t, "early")); err == nil || !strings.Contains(err.Error(), h.CNIConfDir) {
		t.Errorf("set up without a configuration: %v", err)
	}
	h.write(h.CNIConfDir+"/20-one.conf", `{"cniVersion":"1.1.0","name":"one","type":"busy"}`, 0o600)
	notReady(`plugin "busy" is in none of ` + h.CNIBinDirs[0])
	h.plugin("busy", map[string]string{"STATUS": `echo '{"cniVersion":"1.1.0","code":50,"msg":"the controller is away"}'; exit 1`})
	notReady("the controller is away")
	h.plugin("busy", map[string]string{"STATUS": "true"})
	if err := h.do(n.Status); err != nil {
		t.Error(err)
	}
	h.write(h.CNIConfDir+"/10-bad.conflist", `{"name":"bad","plugins":[]}`, 0o600)
	notReady("10-bad.conflist")
}

// TestCNIAutomatic decides by what is there at the start.
func TestCNIAutomatic(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(h *cniHost)
		want    bool
		err     string
	}{
		"works":           {func(h *cniHost) { h.configure("1.0.0") }, true, ""},
		"nothing there":   {func(*cniHost) {}, false, "not found"},
		"no directory":    {func(h *cniHost) { h.CNIConfDir += "/nowhere" }, false, "not found"},
		"no JSON":         {func(h *cniHost) { h.write(h.CNIConfDir+"/a.conf", "{", 0o600) }, false, "a.conf"},
		"no plugin":       {func(h *cniHost) { h.configure("1.0.0", `{"type":"none"}`) }, false, `plugin "none" is in none of`},
		"no such version": {func(h *cniHost) { h.configure("1.1.0") }, false, "does not support config version"},
		"no answer": {func(h *cniHost) {
			h.configure("1.0.0", `{"type":"x"}`)
			h.write(h.CNIBinDirs[0]+"/x", "#!/bin/sh\nexit 1", 0o755)
		}, false, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newCNIHost(t)
			h.CNIAutomatic = true
			tc.prepare(h)
			if file, err := FindCNI(t.Context(), h.CNIConfDir, h.CNIBinDirs); (err == nil) != tc.want || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("found %s, %v", file, err)
			} else if tc.err == "not found" != errdefs.IsNotFound(err) {
				t.Errorf("class of %v", err)
			}
			n := h.open()
			if n.plugged != tc.want {
				t.Errorf("connected by CNI: %t", n.plugged)
			}
			sb := sandbox(t, "pod")
			res, err := h.setup(n, sb)
			if err != nil {
				t.Fatal(err)
			}
			if inBridge := n.prefixes[0].Contains(res.IPs[0]); inBridge == tc.want {
				t.Errorf("address %v", res.IPs)
			}
			// The other way may be chosen next time; what is connected stays as it is and can be undone.
			h.CNIAutomatic, h.CNIConfDir = false, map[bool]string{true: "", false: t.TempDir()}[tc.want]
			if err := h.teardown(h.open(), sb); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPurgeDisconnectsByCNI(t *testing.T) {
	h := newCNIHost(t)
	h.configure("1.0.0")
	sb := sandbox(t, "pod")
	if _, err := h.setup(h.open(), sb); err != nil {
		t.Fatal(err)
	}
	if err := h.do(func() error { return Purge(t.Context(), h.Config) }); err != nil {
		t.Error(err)
	}
	if leases := h.leases(); len(leases) > 0 {
		t.Errorf("addresses are left: %v", leases)
	}
	if _, err := os.Stat(h.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state is left: %v", err)
	}
}
