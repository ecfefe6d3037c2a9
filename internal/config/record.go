package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/continuity"
)

// recordVersion is the version of the record's schema; a newer one is refused.
const recordVersion = 1

// record is what an instance remembers in its data directory, so that other verbs find it by that alone.
type record struct {
	Version    int      `json:"version"`
	RunDir     string   `json:"runDir"`
	Listen     string   `json:"listen"`
	Kubeconfig string   `json:"kubeconfig"`
	PodCIDRs   []string `json:"podCIDRs"`
	NodeName   string   `json:"nodeName"`
	CNIConfDir string   `json:"cniConfDir,omitempty"`
	CNIBinDir  string   `json:"cniBinDir,omitempty"`
}

func recordFile(dataDir string) string { return filepath.Join(dataDir, "instance.json") }

// Save remembers the instance in its data directory.
func (i Instance) Save() error {
	data, err := json.MarshalIndent(record{recordVersion, i.RunDir, i.Listen, i.Kubeconfig, i.PodCIDRs, i.NodeName, i.CNIConfDir, i.CNIBinDir}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode instance: %w", err)
	}
	if err := continuity.AtomicWriteFile(recordFile(i.DataDir), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", recordFile(i.DataDir), err)
	}
	return nil
}

// Load finds the instance that was last up with dataDir. It answers fs.ErrNotExist where there never was one.
func Load(dataDir string) (Instance, error) {
	i := Default()
	i.DataDir = filepath.Clean(dataDir)
	file := recordFile(i.DataDir)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return i, fmt.Errorf("no Mayfly was ever up with --data-dir %s: %w", dataDir, fs.ErrNotExist)
	}
	if errors.Is(err, fs.ErrPermission) {
		return i, fmt.Errorf("read instance: %w; run the command as root", err)
	}
	if err != nil {
		return i, fmt.Errorf("read instance: %w", err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return i, fmt.Errorf("%s is not an instance record (%w); move it away and start `mayfly up` with the same flags to write it anew", file, err)
	}
	if r.Version > recordVersion {
		return i, fmt.Errorf("%s is of version %d, newer than this mayfly knows (%d): use the newer mayfly", file, r.Version, recordVersion)
	}
	i.RunDir, i.Listen, i.Kubeconfig, i.PodCIDRs, i.NodeName = r.RunDir, r.Listen, r.Kubeconfig, r.PodCIDRs, r.NodeName
	i.CNIConfDir, i.CNIBinDir = r.CNIConfDir, r.CNIBinDir
	return i, nil
}
