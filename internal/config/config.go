// Package config holds what a person may set about one Mayfly, its defaults, and the rules that it must keep.
// Commands fill it from flags; internal/daemon hands each component its own part.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-helpers/node/util/sysctl"
)

// Environment variables that stand in for --data-dir and --run-dir in every verb.
const (
	DataDirEnv = "MAYFLY_DATA_DIR"
	RunDirEnv  = "MAYFLY_RUN_DIR"
)

// maxRunDir keeps the longest socket below RunDir, a Pod monitor's, within the 107 bytes of unix(7).
const maxRunDir = 107 - 44

// Instance is one Mayfly on a machine. Instances run side by side when their directories, addresses and Pod
// networks differ.
type Instance struct {
	// DataDir holds all that must survive a reboot: etcd, images, Pod directories, keys.
	DataDir string
	// RunDir holds sockets and what dies with the machine's power.
	RunDir string
	// Listen is the host:port of the Kubernetes API.
	Listen string
	// Kubeconfig is the file to write for the administrator.
	Kubeconfig string
	// PodCIDRs are the networks that Pods get their addresses from: one IPv4, one IPv6, or both.
	PodCIDRs []string
	// NodeName is the name of the Node object of this machine.
	NodeName string
	// CNIConfDir is where CNI's configuration is that takes the place of the built-in network; or CNIAuto, or CNINone.
	// The plugins are in CNIBinDir, which may be several directories with colons between.
	CNIConfDir, CNIBinDir string
	// PodManifestPath is a directory of static Pods' manifests; empty for none.
	PodManifestPath string
	// RuntimeHandlers are paths of OCI runtimes by the handlers by which RuntimeClasses choose them.
	RuntimeHandlers map[string]string
	// CgroupDriver says who makes cgroups: cgroupfs, Mayfly itself, or systemd.
	CgroupDriver string
	// PodMaxPIDs is how many tasks a Pod may have; 0 is any number.
	PodMaxPIDs int64
	// UnsafeSysctls are sysctls that Pods may set beside those that are safe, by name or, with a * at the end, by how they
	// begin.
	UnsafeSysctls []string
	// NRI lets plugins of the Node Resource Interface connect to the runtime.
	NRI bool
	// ImageGCHigh and ImageGCLow, in percent of the disk, say when unused images are removed, and when that ends.
	ImageGCHigh, ImageGCLow int
	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel, LogFormat string
	// API holds what the API server may be told besides.
	API API
}

// Values of CgroupDriver.
const (
	CgroupFS      = "cgroupfs"
	CgroupSystemd = "systemd"
)

// Values of CNIConfDir that are no directory.
const (
	// CNIAuto has CNI connect Pods if DefaultCNIConfDir holds a configuration that works when Mayfly starts.
	CNIAuto = "auto"
	// CNINone leaves the host's CNI alone. Empty means the same.
	CNINone = "none"
	// DefaultCNIConfDir is where the kubelet's runtimes look.
	DefaultCNIConfDir = "/etc/cni/net.d"
)

// CNI tells where CNI's configuration is, if it may be used at all, and the directories of its plugins; with automatic,
// only a configuration that works at the start is used.
func (i Instance) CNI() (confDir string, binDirs []string, automatic bool) {
	binDirs = filepath.SplitList(i.CNIBinDir)
	switch i.CNIConfDir {
	case "", CNINone:
		return "", binDirs, false
	case CNIAuto:
		return DefaultCNIConfDir, binDirs, true
	}
	return i.CNIConfDir, binDirs, false
}

// API is what kube-apiserver has flags of the same names for; the files are in its formats. Empty means: not used.
type API struct {
	// AuditPolicyFile says what is recorded; AuditLogPath ("-" is standard output) and AuditWebhookConfigFile where.
	AuditPolicyFile, AuditLogPath, AuditWebhookConfigFile string
	// TokenAuthFile lists static tokens as CSV.
	TokenAuthFile string
	// EnableBootstrapTokenAuth believes the tokens of secrets of the type bootstrap.kubernetes.io/token.
	EnableBootstrapTokenAuth bool
	// AuthenticationConfig and AuthorizationConfig are files that say whose tokens are believed, and who is asked.
	AuthenticationConfig, AuthorizationConfig string
	// AuthenticationTokenWebhookConfigFile is the kubeconfig of a webhook that is asked about tokens, by reviews of
	// AuthenticationTokenWebhookVersion, v1 or v1beta1.
	AuthenticationTokenWebhookConfigFile, AuthenticationTokenWebhookVersion string
	// TracingConfigFile says where spans go.
	TracingConfigFile string
	// EncryptionProviderConfig is an EncryptionConfiguration for what etcd stores.
	EncryptionProviderConfig string
	// EtcdServers are the URLs of an external etcd, used instead of the one in this process, with its TLS files.
	EtcdServers                           []string
	EtcdCAFile, EtcdCertFile, EtcdKeyFile string
	// AlwaysPullImages makes each start of a container ask the registry whether its Pod may use the image.
	AlwaysPullImages bool
}

// Default is the one instance that a machine with a single Mayfly has.
func Default() Instance {
	return Instance{
		DataDir:      fromEnv(DataDirEnv, "/var/lib/mayfly"),
		RunDir:       fromEnv(RunDirEnv, "/run/mayfly"),
		Listen:       "127.0.0.1:6443",
		PodCIDRs:     []string{"10.88.0.0/16"},
		NodeName:     defaultNodeName(),
		CNIConfDir:   CNIAuto,
		CNIBinDir:    "/opt/cni/bin:/usr/lib/cni",
		CgroupDriver: CgroupFS,
		ImageGCHigh:  85,
		ImageGCLow:   80,
		LogLevel:     "info",
		LogFormat:    "text",
	}
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func defaultNodeName() string {
	name, err := os.Hostname()
	if err != nil || len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0 {
		return "mayfly"
	}
	return strings.ToLower(name)
}

// ID tells this instance from the others on the machine: eight hexadecimal digits that depend on the data
// directory alone. Bridges, tables and cgroups carry it in their names.
func (i Instance) ID() string {
	sum := sha256.Sum256([]byte(filepath.Clean(i.DataDir)))
	return hex.EncodeToString(sum[:4])
}

// CgroupRoot is the cgroup, below each hierarchy's root, that holds all Pods of the instance.
func (i Instance) CgroupRoot() string { return "/mayfly-" + i.ID() }

// ImageSocket is the unix socket of the image API.
func (i Instance) ImageSocket() string { return filepath.Join(i.RunDir, "image.sock") }

// BackupSocket is the unix socket that snapshots of the API's data are read from.
func (i Instance) BackupSocket() string { return filepath.Join(i.RunDir, "backup.sock") }

// RuntimeSocket is the unix socket of the CRI.
func (i Instance) RuntimeSocket() string { return filepath.Join(i.RunDir, "cri.sock") }

// Complete makes paths absolute and fills what follows from other values.
func (i *Instance) Complete() error {
	var errs []error
	if i.Kubeconfig == "" {
		i.Kubeconfig = filepath.Join(i.DataDir, "admin.kubeconfig")
	}
	paths := []*string{&i.DataDir, &i.RunDir, &i.Kubeconfig}
	if i.PodManifestPath != "" {
		paths = append(paths, &i.PodManifestPath)
	}
	confDir, binDirs, automatic := i.CNI()
	if confDir != "" && !automatic {
		paths = append(paths, &i.CNIConfDir)
	}
	for n := range binDirs {
		paths = append(paths, &binDirs[n])
	}
	for _, p := range paths {
		absolute, err := filepath.Abs(*p)
		errs = append(errs, err)
		*p = absolute
	}
	i.CNIBinDir = strings.Join(binDirs, string(filepath.ListSeparator))
	return errors.Join(errs...)
}

// Validate tells all that is wrong, each with the flag to change.
func (i Instance) Validate() error {
	errs := []error{i.validateListen(), i.validatePodCIDRs()}
	if problems := validation.IsDNS1123Subdomain(i.NodeName); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--node-name %q: %s", i.NodeName, strings.Join(problems, "; ")))
	}
	if i.DataDir == i.RunDir {
		errs = append(errs, fmt.Errorf("--data-dir and --run-dir are both %s: give each its own directory", i.DataDir))
	}
	if len(i.RunDir) > maxRunDir {
		errs = append(errs, fmt.Errorf("--run-dir %s is longer than %d bytes, so sockets in it would not fit: choose a shorter path", i.RunDir, maxRunDir))
	}
	if dir, _, automatic := i.CNI(); dir != "" && !automatic {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			errs = append(errs, fmt.Errorf("--cni-conf-dir %s is not a directory: make it, or say %s to have Pods on Mayfly's own bridge", dir, CNINone))
		}
	}
	if info, err := os.Stat(i.PodManifestPath); i.PodManifestPath != "" && (err != nil || !info.IsDir()) {
		errs = append(errs, fmt.Errorf("--pod-manifest-path %s is not a directory: make it, or leave the flag out", i.PodManifestPath))
	}
	if i.PodMaxPIDs < 0 {
		errs = append(errs, fmt.Errorf("--pod-max-pids %d: say a number of processes and threads, or 0 for any number", i.PodMaxPIDs))
	}
	for _, name := range i.UnsafeSysctls {
		if ns, _, _ := sysctl.GetNamespace(name); ns == sysctl.UnknownNamespace {
			errs = append(errs, fmt.Errorf("--allowed-unsafe-sysctls %q: a Pod has no such sysctl of its own, only of net., fs.mqueue., kernel.shm*, kernel.msg*, kernel.sem", name))
		}
	}
	if i.CgroupDriver != CgroupFS && i.CgroupDriver != CgroupSystemd {
		errs = append(errs, fmt.Errorf("--cgroup-driver %q: say %s or %s", i.CgroupDriver, CgroupFS, CgroupSystemd))
	}
	if i.ImageGCLow < 1 || i.ImageGCHigh > 100 || i.ImageGCLow >= i.ImageGCHigh {
		errs = append(errs, fmt.Errorf("--image-gc-low-threshold %d and --image-gc-high-threshold %d must be percentages, the first below the second", i.ImageGCLow, i.ImageGCHigh))
	}
	return errors.Join(errs...)
}

func (i Instance) validateListen() error {
	host, port, err := net.SplitHostPort(i.Listen)
	if err != nil {
		return fmt.Errorf("--listen %q is not HOST:PORT: %w", i.Listen, err)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("--listen %q: %w", i.Listen, err)
	}
	if host != "" && net.ParseIP(host) == nil && host != "localhost" {
		return fmt.Errorf("--listen %q: %q is not an IP address", i.Listen, host)
	}
	return nil
}

func (i Instance) validatePodCIDRs() error {
	if len(i.PodCIDRs) == 0 || len(i.PodCIDRs) > 2 {
		return fmt.Errorf("--pod-cidr takes one network, or one of IPv4 and one of IPv6, not %d", len(i.PodCIDRs))
	}
	var families []bool
	for _, cidr := range i.PodCIDRs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("--pod-cidr %q is not a network such as 10.88.0.0/16: %w", cidr, err)
		}
		if host := prefix.Addr().BitLen() - prefix.Bits(); host < 3 {
			return fmt.Errorf("--pod-cidr %s has no room for Pods", cidr)
		}
		families = append(families, prefix.Addr().Is4())
	}
	if len(families) == 2 && families[0] == families[1] {
		return fmt.Errorf("--pod-cidr %s: two networks must be of different families", strings.Join(i.PodCIDRs, ","))
	}
	return nil
}
