package node

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/mayfly-run/mayfly/internal/node/dns"
	"github.com/mayfly-run/mayfly/internal/node/pod"
	"github.com/mayfly-run/mayfly/internal/node/resource"
)

// Config is what a node needs to know. NodeName, Client, RuntimeEndpoint, RootDir and LogDir must be set.
type Config struct {
	NodeName string
	// Client reaches the API server, as system:node:NAME of the group system:nodes.
	Client *rest.Config
	// API is where the API server listens, for the environment of containers; see [env.API].
	API netip.AddrPort
	// RuntimeEndpoint and ImageEndpoint are CRI sockets (unix:///path); the second defaults to the first.
	RuntimeEndpoint, ImageEndpoint string
	// RuntimeOptions are for the connections to these: how to call a runtime in the same process, say.
	RuntimeOptions []grpc.DialOption
	// Streams serves the runtime's streaming URLs without a connection in between, where it is in the same process;
	// nil is for any other.
	Streams http.Handler
	// RootDir holds volumes and what else the node keeps per Pod; LogDir the containers' logs.
	RootDir, LogDir string
	// Address is the node's address; found out if empty.
	Address string
	// CgroupRoot is the cgroup, below each hierarchy's root, under which Pods get theirs.
	CgroupRoot string
	// Cgroups limits the cgroups of Pods and of their classes of service, which is no part of the CRI; nil leaves them
	// without limits.
	Cgroups pod.Cgroups
	// PodPIDs is how many tasks a Pod may have; 0 is any number.
	PodPIDs int64
	// UnsafeSysctls are sysctls that Pods may set beside the safe ones, by name or, with a * at the end, by how they begin.
	UnsafeSysctls []string
	// PodCIDR is told to the runtime and stands in the Node's spec.
	PodCIDR string
	// DNS is how Pods find names.
	DNS dns.Config
	// Labels are put on the Node beside the well-known ones.
	Labels map[string]string
	// Version is told as the kubelet's version; v1.37.2 if empty.
	Version string
	// MaxPods is the node's capacity of Pods; 250 if 0.
	MaxPods int64
	// EphemeralCaps bounds every ephemeral container; a zero field has a default: memory 512 MiB or a quarter of the
	// machine's if that is less, 1024 tasks, 64 CPU shares (an unlimited container beside it has 2 to 1024 by its
	// request).
	EphemeralCaps resource.Caps
	// LogMaxSize and LogMaxFiles bound a container's logs; 10 MiB and 5 if 0.
	LogMaxSize  int64
	LogMaxFiles int
	// ImageGCHigh is the use of the images' disk, in percent, from which on unused images are removed; ImageGCLow is
	// what it is brought down to. 85 and 80 if 0; 100 never removes.
	ImageGCHigh, ImageGCLow int
	// StaticPods is a directory of manifests of Pods to run without the API's asking; empty for none. CompleteStatic
	// fills in the defaults of such a Pod, and refuses what is no valid one.
	StaticPods     string
	CompleteStatic func(*corev1.Pod) error
	// Server is the kubelet port for a real control plane; nil for none.
	Server *ServerConfig
}

// ServerConfig is the kubelet API on a TLS port, for an API server on another machine. Callers are authenticated by a
// client certificate of ClientCAFile or by TokenReview, and authorized by SubjectAccessReview, as upstream's kubelet
// does it.
type ServerConfig struct {
	Listener                        net.Listener
	CertFile, KeyFile, ClientCAFile string
}

const (
	defaultVersion  = "v1.37.2"
	defaultMaxPods  = 250
	defaultMemory   = 512 << 20
	defaultPIDs     = 1024
	defaultShares   = 64
	defaultLogSize  = 10 << 20
	defaultLogFiles = 5
	defaultGCHigh   = 85
	defaultGCLow    = 80
)

// complete fills in defaults and names what is missing.
func (c *Config) complete() error {
	for name, value := range map[string]string{"NodeName": c.NodeName, "RuntimeEndpoint": c.RuntimeEndpoint, "RootDir": c.RootDir, "LogDir": c.LogDir} {
		if value == "" {
			return fmt.Errorf("node: %s is not set", name)
		}
	}
	if c.Client == nil {
		return fmt.Errorf("node: Client is not set")
	}
	if c.Version == "" {
		c.Version = defaultVersion
	}
	if c.MaxPods == 0 {
		c.MaxPods = defaultMaxPods
	}
	if c.LogMaxSize == 0 {
		c.LogMaxSize = defaultLogSize
	}
	if c.LogMaxFiles == 0 {
		c.LogMaxFiles = defaultLogFiles
	}
	if c.ImageGCHigh == 0 {
		c.ImageGCHigh = defaultGCHigh
	}
	if c.ImageGCLow == 0 {
		c.ImageGCLow = defaultGCLow
	}
	return nil
}

// caps completes the bounds of ephemeral containers for a machine with that much memory.
func (c *Config) caps(memory int64, unified bool) resource.Caps {
	caps := c.EphemeralCaps
	if caps.Memory == 0 {
		caps.Memory = min(defaultMemory, memory/4)
	}
	if caps.PIDs == 0 {
		caps.PIDs = defaultPIDs
	}
	if caps.CPUShares == 0 {
		caps.CPUShares = defaultShares
	}
	caps.Unified = unified
	return caps
}
