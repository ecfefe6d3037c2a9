// Package dns decides what a Pod's /etc/resolv.conf says and what its host name is.
package dns

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of the C library's resolver, as the kubelet applies them.
const (
	maxServers  = 3
	maxSearches = 32
	maxHostname = 63
)

// Config is the node's part. Without Servers, a Pod that asks for cluster DNS gets the node's own resolvers.
type Config struct {
	// Servers are the addresses of the cluster's DNS service.
	Servers []string
	// Domain is the cluster's domain; cluster.local if empty.
	Domain string
	// ResolvConf is the file with the node's resolvers; if empty, /etc/resolv.conf, or systemd-resolved's own file
	// where that one only names its stub on the loopback interface.
	ResolvConf string
}

func (c Config) domain() string {
	if c.Domain == "" {
		return "cluster.local"
	}
	return c.Domain
}

// Missing tells whether the Pod asks for cluster DNS and gets the node's own resolvers, for want of it.
func (c Config) Missing(pod *corev1.Pod) bool {
	policy := pod.Spec.DNSPolicy
	return len(c.Servers) == 0 && (policy == corev1.DNSClusterFirstWithHostNet || policy == corev1.DNSClusterFirst && !pod.Spec.HostNetwork)
}

// Pod returns the Pod's resolver configuration.
func (c Config) Pod(pod *corev1.Pod) (*runtimev1.DNSConfig, error) {
	out := &runtimev1.DNSConfig{}
	policy := pod.Spec.DNSPolicy
	if policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork {
		policy = corev1.DNSDefault
	}
	switch {
	case policy == corev1.DNSNone:
	case len(c.Servers) > 0 && (policy == corev1.DNSClusterFirst || policy == corev1.DNSClusterFirstWithHostNet):
		host, err := c.node()
		if err != nil {
			return nil, err
		}
		base := "svc." + c.domain()
		out.Servers = c.Servers
		out.Searches = append([]string{pod.Namespace + "." + base, base, c.domain()}, host.Searches...)
		out.Options = []string{"ndots:5"}
	default:
		host, err := c.node()
		if err != nil {
			return nil, err
		}
		out = host
	}
	merge(out, pod.Spec.DNSConfig)
	out.Servers = out.Servers[:min(len(out.Servers), maxServers)]
	out.Searches = out.Searches[:min(len(out.Searches), maxSearches)]
	return out, nil
}

func merge(out *runtimev1.DNSConfig, own *corev1.PodDNSConfig) {
	if own == nil {
		return
	}
	out.Servers = unique(append(out.Servers, own.Nameservers...))
	out.Searches = unique(append(out.Searches, own.Searches...))
	for _, o := range own.Options {
		out.Options = slices.DeleteFunc(out.Options, func(have string) bool {
			name, _, _ := strings.Cut(have, ":")
			return name == o.Name
		})
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		out.Options = append(out.Options, text)
	}
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (c Config) node() (*runtimev1.DNSConfig, error) {
	path := c.ResolvConf
	if path == "" {
		path = "/etc/resolv.conf"
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return &runtimev1.DNSConfig{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read node's resolvers: %w", err)
	}
	out := Parse(string(text))
	if c.ResolvConf == "" && onlyLoopback(out.Servers) {
		if text, err := os.ReadFile("/run/systemd/resolve/resolv.conf"); err == nil {
			out = Parse(string(text))
		}
	}
	return out, nil
}

func onlyLoopback(servers []string) bool {
	for _, s := range servers {
		if address, err := netip.ParseAddr(s); err != nil || !address.IsLoopback() {
			return false
		}
	}
	return len(servers) > 0
}

// Parse reads the text of a resolv.conf(5).
func Parse(text string) *runtimev1.DNSConfig {
	out := &runtimev1.DNSConfig{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			out.Servers = append(out.Servers, fields[1])
		case "search", "domain":
			out.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				out.Searches = append(out.Searches, s)
			}
		case "options":
			out.Options = fields[1:]
		}
	}
	return out
}

// Hostname returns the Pod's host name, and its domain if it has one.
func (c Config) Hostname(pod *corev1.Pod) (name, domain string, err error) {
	name = pod.Name
	if len(name) > maxHostname {
		name = strings.TrimRight(name[:maxHostname], "-.")
	}
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	if override := pod.Spec.HostnameOverride; override != nil {
		return *override, "", nil
	}
	if pod.Spec.Subdomain != "" {
		domain = fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, c.domain())
	}
	if full := pod.Spec.SetHostnameAsFQDN; full != nil && *full && domain != "" {
		if fqdn := name + "." + domain; len(fqdn) > 64 {
			return "", "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (64 characters is the max, %d characters requested)", fqdn, len(fqdn))
		}
		return name + "." + domain, domain, nil
	}
	return name, domain, nil
}
