package dns

import (
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Hosts returns the text of the Pod's /etc/hosts: the node's own for a Pod on the node's network, else the usual
// local names and the Pod's; hostAliases come last.
func (c Config) Hosts(pod *corev1.Pod, ips []string) ([]byte, error) {
	var b strings.Builder
	if pod.Spec.HostNetwork {
		text, err := os.ReadFile("/etc/hosts")
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("read node's hosts: %w", err)
		}
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(text)
	} else if err := c.writeOwn(&b, pod, ips); err != nil {
		return nil, err
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return []byte(b.String()), nil
}

func (c Config) writeOwn(b *strings.Builder, pod *corev1.Pod, ips []string) error {
	name, domain, err := c.Hostname(pod)
	if err != nil {
		return err
	}
	b.WriteString("# Kubernetes-managed hosts file.\n")
	for _, line := range []string{
		"127.0.0.1\tlocalhost",
		"::1\tlocalhost ip6-localhost ip6-loopback",
		"fe00::0\tip6-localnet",
		"fe00::0\tip6-mcastprefix",
		"fe00::1\tip6-allnodes",
		"fe00::2\tip6-allrouters",
	} {
		b.WriteString(line + "\n")
	}
	for _, ip := range ips {
		if domain != "" && !strings.HasSuffix(name, domain) {
			fmt.Fprintf(b, "%s\t%s.%s\t%s\n", ip, name, domain, name)
		} else {
			fmt.Fprintf(b, "%s\t%s\n", ip, name)
		}
	}
	return nil
}
