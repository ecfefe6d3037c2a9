package dns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestPod(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("# comment\nnameserver 192.0.2.53\nsearch example.org. corp\noptions edns0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := Config{Servers: []string{"10.96.0.10"}, ResolvConf: file}
	two := "2"
	for name, c := range map[string]struct {
		Config
		spec corev1.PodSpec
		want *runtimev1.DNSConfig
	}{
		"cluster first": {cluster, corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst},
			&runtimev1.DNSConfig{Servers: []string{"10.96.0.10"}, Searches: []string{"n.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org", "corp"}, Options: []string{"ndots:5"}}},
		"cluster first without one": {Config{ResolvConf: file}, corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst},
			&runtimev1.DNSConfig{Servers: []string{"192.0.2.53"}, Searches: []string{"example.org", "corp"}, Options: []string{"edns0"}}},
		"on the node's network": {cluster, corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true},
			&runtimev1.DNSConfig{Servers: []string{"192.0.2.53"}, Searches: []string{"example.org", "corp"}, Options: []string{"edns0"}}},
		"none, own": {cluster, corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "rotate"}}}},
			&runtimev1.DNSConfig{Servers: []string{"1.1.1.1"}, Options: []string{"ndots:2", "rotate"}}},
		"options are replaced": {cluster, corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}}}},
			&runtimev1.DNSConfig{Servers: []string{"10.96.0.10"}, Searches: []string{"n.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org", "corp"}, Options: []string{"ndots:2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Config.Pod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n"}, Spec: c.spec})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHostname(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		pod  corev1.Pod
		want string
		err  bool
	}{
		"the pod's name": {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, want: "p"},
		"a long name":    {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("a", 62) + ".b"}}, want: strings.Repeat("a", 62)},
		"its own":        {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Hostname: "h"}}, want: "h"},
		"full":           {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}, Spec: corev1.PodSpec{Subdomain: "s", SetHostnameAsFQDN: &yes}}, want: "p.s.n.svc.cluster.local"},
		"full, too long": {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("p", 60), Namespace: "n"}, Spec: corev1.PodSpec{Subdomain: "s", SetHostnameAsFQDN: &yes}}, err: true},
	} {
		got, _, err := Config{}.Hostname(&c.pod)
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestHosts(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}, Spec: corev1.PodSpec{Subdomain: "s", HostAliases: []corev1.HostAlias{{IP: "1.2.3.4", Hostnames: []string{"a", "b"}}}}}
	text, err := Config{}.Hosts(pod, []string{"10.0.0.1", "fd00::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"127.0.0.1\tlocalhost\n", "10.0.0.1\tp.s.n.svc.cluster.local\tp\n", "fd00::1\tp.s", "1.2.3.4\ta\tb\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
}
