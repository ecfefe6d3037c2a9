package cri

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/cri/cdi"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/network"
	"github.com/mayfly-run/mayfly/internal/cri/nri"
)

// Names under which the runtime introduces itself, and of what is in its directories.
const (
	runtimeName = "mayfly"
	apiVersion  = "v1"
	nriSocket   = "nri.sock"
)

// Config describes one runtime. Several run side by side when RootDir, RunDir, Socket, InstanceID, PodCIDRs and
// CgroupRoot differ.
type Config struct {
	// RootDir keeps images, containers' file systems and state; it must be on a file system that overlayfs takes.
	RootDir string
	// RunDir keeps sockets, namespaces and what else need not survive the machine's restart.
	RunDir string
	// Socket is where the CRI is served, mode 0600.
	Socket string
	// InstanceID makes names in the kernel unique: eight hex digits.
	InstanceID string
	// PodCIDRs are the Pods' networks, one per IP family. Two runtimes must not share them.
	PodCIDRs []string
	// CNIConfDir and CNIBinDirs are CNI's; with the first set, CNI takes the place of the built-in bridge: always, or
	// with CNIAutomatic only if a configuration that works is there at the start.
	CNIConfDir   string
	CNIBinDirs   []string
	CNIAutomatic bool
	// RegistryConfigDir holds a directory per registry with a hosts.toml.
	RegistryConfigDir string
	// CgroupRoot is the instance's cgroup, absolute within each hierarchy; empty is /mayfly-<InstanceID>.
	CgroupRoot string
	// SystemdCgroups leaves the cgroups of sandboxes to systemd, as a kubelet with the driver systemd expects it; CgroupRoot
	// is a slice then.
	SystemdCgroups bool
	// Monitor is the executable of cmd/podmonitor.
	Monitor []byte
	// RuntimeHandlers are OCI runtimes, such as runc, by the name of the runtime handler that chooses them.
	RuntimeHandlers map[string]string
	// CDIDirs hold descriptions of devices by the Container Device Interface; empty is /etc/cdi and /var/run/cdi.
	CDIDirs []string
	// NRI lets plugins of the Node Resource Interface connect, at nri.sock in RunDir.
	NRI bool
	// Version is what the runtime says its version is.
	Version string

	// takeDown says that nothing is to be started any more.
	takeDown bool
}

func (c Config) complete() Config {
	if c.CgroupRoot == "" {
		c.CgroupRoot = "/mayfly-" + c.InstanceID
	}
	if c.SystemdCgroups && !strings.HasSuffix(c.CgroupRoot, ".slice") {
		c.CgroupRoot += ".slice"
	}
	c.CgroupRoot = strings.TrimRight(c.CgroupRoot, "/")
	if len(c.CDIDirs) == 0 {
		c.CDIDirs = cdi.DefaultDirs()
	}
	if c.Version == "" {
		c.Version = "0.1.0"
	}
	return c
}

// appArmorProfile is the name of the runtime's own profile, which other instances have theirs beside.
func (c Config) appArmorProfile() string { return "mayfly-" + c.InstanceID }

func (c Config) image() image.Config {
	return image.Config{
		RootDir: filepath.Join(c.RootDir, "images"), RegistryConfigDir: c.RegistryConfigDir,
		Handlers: append(slices.Collect(maps.Keys(c.RuntimeHandlers)), runtimeName),
	}
}

func (c Config) nri() nri.Config {
	return nri.Config{Name: runtimeName, Version: c.Version, Socket: filepath.Join(c.RunDir, nriSocket), CDIDirs: c.CDIDirs}
}

func (c Config) network() network.Config {
	return network.Config{
		Bridge: "mf-" + c.InstanceID[:min(len(c.InstanceID), 6)], Table: "mayfly-" + c.InstanceID,
		PodCIDRs: c.PodCIDRs, StateDir: filepath.Join(c.RootDir, "network"),
		CNIConfDir: c.CNIConfDir, CNIBinDirs: c.CNIBinDirs, CNIAutomatic: c.CNIAutomatic, TakeDown: c.takeDown,
	}
}
