// Package doctor finds what a machine lacks to run Mayfly, in words that name the thing and its remedy.
//
// Start at Check. Every finding is made by trying the thing where that leaves nothing behind (an overlay mount in a
// private mount namespace, a bridge in a throw-away network namespace), and by reading what the kernel says of itself
// elsewhere. `mayfly doctor` prints the findings; `mayfly up` refuses with Refusal, so both use the same words.
package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/config"
)

// Config says which instance is to run here. The zero value of a field leaves out the checks that need it.
type Config struct {
	// DataDir and RunDir need not exist yet; their nearest existing parents are looked at then.
	DataDir, RunDir string
	// Listen is the host:port that the API will listen on.
	Listen string
	// PodCIDRs are the networks that Pods get their addresses from.
	PodCIDRs []string
	// CNIConfDir, CNIBinDirs and CNIAutomatic say whether Pods are connected by CNI, as [config.Instance.CNI] does.
	CNIConfDir   string
	CNIBinDirs   []string
	CNIAutomatic bool
}

// ConfigOf takes what is looked at from an instance's configuration.
func ConfigOf(i config.Instance) Config {
	c := Config{DataDir: i.DataDir, RunDir: i.RunDir, Listen: i.Listen, PodCIDRs: i.PodCIDRs}
	c.CNIConfDir, c.CNIBinDirs, c.CNIAutomatic = i.CNI()
	return c
}

// Finding is the outcome of one check.
type Finding struct {
	// Name is the thing that was looked at, in a word or two.
	Name string `json:"name"`
	// OK is false when something is missing or will not work as a user expects.
	OK bool `json:"ok"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Remedy is the command or setting that mends it, empty when OK.
	Remedy string `json:"remedy,omitempty"`
	// Fatal is true when Mayfly cannot run without it; otherwise only some feature suffers.
	Fatal bool `json:"fatal,omitempty"`
}

// Err is nil for a finding that is OK, and otherwise the finding in one line.
func (f Finding) Err() error {
	switch {
	case f.OK:
		return nil
	case f.Remedy == "":
		return fmt.Errorf("%s: %s", f.Name, f.Detail)
	default:
		return fmt.Errorf("%s: %s: %s", f.Name, f.Detail, f.Remedy)
	}
}

// check is one question about the machine. It returns its findings with Name left to the caller.
type check struct {
	name string
	run  func(context.Context, Config) Finding
}

func checks() []check {
	return []check{
		{"user", checkUser},
		{"kernel", checkKernel},
		{"capabilities", checkCapabilities},
		{"namespaces", checkNamespaces},
		{"seccomp", checkSeccomp},
		{"cgroups", checkCgroups},
		{"data directory", checkDataDir},
		{"run directory", checkRunDir},
		{"overlayfs", checkOverlay},
		{"disk space", checkDiskSpace},
		{"virtual network", checkVirtualNetwork},
		{"nftables", checkNftables},
		{"IP forwarding", checkForwarding},
		{"host firewall", checkFirewall},
		{"Pod network", checkPodNetwork},
		{"CNI", checkCNI},
		{"API address", checkListen},
	}
}

// Check looks at the machine and returns one finding for each thing that Mayfly needs, in a fixed order. It changes
// nothing that outlives it and takes a few milliseconds.
func Check(ctx context.Context, cfg Config) []Finding {
	findings := make([]Finding, 0, len(checks()))
	for _, c := range checks() {
		f := c.run(ctx, cfg)
		f.Name = c.name
		if f.OK {
			f.Remedy, f.Fatal = "", false
		}
		findings = append(findings, f)
	}
	return findings
}

// Refusal is nil when nothing fatal was found, and otherwise an error that names each fatal thing and its remedy.
func Refusal(findings []Finding) error {
	var errs []error
	for _, f := range findings {
		if f.Fatal {
			errs = append(errs, f.Err())
		}
	}
	return errors.Join(errs...)
}

// ok is a finding that all is well.
func ok(format string, args ...any) Finding {
	return Finding{OK: true, Detail: fmt.Sprintf(format, args...)}
}

// warning is a finding that takes a feature away.
func warning(remedy, format string, args ...any) Finding {
	return Finding{Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

// fatal is a finding that Mayfly cannot run with.
func fatal(remedy, format string, args ...any) Finding {
	return Finding{Detail: fmt.Sprintf(format, args...), Remedy: remedy, Fatal: true}
}
