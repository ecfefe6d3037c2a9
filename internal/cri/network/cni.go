package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/libcni"
)

const (
	// pluginTimeout bounds all plugins of one network together, for each command.
	pluginTimeout = time.Minute
	// statusTimeout is for questions that clients wait for.
	statusTimeout = 5 * time.Second
)

// cni is the way of the host's own network plugins. The loopback interface is not left to them.
type cni struct {
	confDir  string
	binDirs  []string
	timeout  time.Duration
	plugins  *libcni.CNIConfig
	runner   *runner
	stateDir string
}

// newCNI keeps what plugins answered in the state directory, for they want it back when they undo their work.
func newCNI(cfg Config) *cni {
	c := &cni{confDir: cfg.CNIConfDir, binDirs: cfg.CNIBinDirs, timeout: cfg.PluginTimeout, runner: &runner{}, stateDir: filepath.Join(cfg.StateDir, "cni")}
	if c.timeout == 0 {
		c.timeout = pluginTimeout
	}
	c.plugins = libcni.NewCNIConfigWithCacheDir(c.binDirs, c.stateDir, c.runner)
	return c
}

// settle must come before the first plugin.
func (c *cni) settle(ctx context.Context) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	err := os.MkdirAll(c.stateDir, 0o700)
	if err == nil {
		c.runner.lock = filepath.Join(c.stateDir, "lock")
		err = c.runner.settle(ctx)
	}
	if err != nil {
		slog.WarnContext(ctx, "CNI plugins of an earlier process still run: addresses of sandboxes that are gone may stay in use", "err", err)
	}
}

// FindCNI tells which configuration of confDir Pods would be connected by: the first by name, as with the kubelet's
// runtimes. It is checked: every plugin must be in one of binDirs, answer, and know the configuration's version. Where
// there is no configuration, the error is errdefs.ErrNotFound.
func FindCNI(ctx context.Context, confDir string, binDirs []string) (file string, _ error) {
	c := newCNI(Config{CNIConfDir: confDir, CNIBinDirs: binDirs})
	file, list, err := c.first()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	if _, err := c.plugins.ValidateNetworkList(ctx, list); err != nil {
		return "", fmt.Errorf("CNI configuration %s: %w", file, err)
	}
	return file, nil
}

// decide chooses, for once, between CNI and the built-in network, and says so.
func (n *Network) decide(ctx context.Context) {
	if !n.config.CNIAutomatic {
		n.plugged = n.config.CNIConfDir != ""
		return
	}
	file, err := FindCNI(ctx, n.config.CNIConfDir, n.config.CNIBinDirs)
	switch {
	case err == nil:
		n.plugged = true
		slog.InfoContext(ctx, "pods are connected by CNI, not by the built-in network", "configuration", file)
	case !errdefs.IsNotFound(err):
		slog.WarnContext(ctx, "pods are connected by the built-in network, for the CNI configuration does not work", "err", err)
	}
}

// first reads the first configuration by name.
func (c *cni) first() (file string, _ *libcni.NetworkConfigList, _ error) {
	files, err := libcni.ConfFiles(c.confDir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return "", nil, fmt.Errorf("read CNI configuration: %w", err)
	}
	if len(files) == 0 {
		return "", nil, fmt.Errorf("no CNI configuration in %s: %w", c.confDir, errdefs.ErrNotFound)
	}
	file = slices.Min(files)
	list, err := readConf(file)
	if err != nil {
		return "", nil, fmt.Errorf("CNI configuration %s: %w", file, errors.Join(err, errdefs.ErrInvalidArgument))
	}
	return file, list, nil
}

// readConf reads a list of plugins, or the older form, which is one plugin.
func readConf(file string) (*libcni.NetworkConfigList, error) {
	if filepath.Ext(file) == ".conflist" {
		return libcni.NetworkConfFromFile(file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var head struct {
		Name       string `json:"name"`
		CNIVersion string `json:"cniVersion"`
	}
	if _, err := libcni.NetworkPluginConfFromBytes(data); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	return (&conf{Name: head.Name, CNIVersion: head.CNIVersion, Plugins: []json.RawMessage{data}}).list()
}

// conf is a configuration by itself: with the plugins that CNI lets stand in files of their own.
type conf struct {
	Name         string            `json:"name"`
	CNIVersion   string            `json:"cniVersion"`
	DisableCheck bool              `json:"disableCheck,omitempty"`
	Inlined      bool              `json:"loadOnlyInlinedPlugins"`
	Plugins      []json.RawMessage `json:"plugins"`
}

func confOf(list *libcni.NetworkConfigList) *conf {
	c := &conf{Name: list.Name, CNIVersion: list.CNIVersion, DisableCheck: list.DisableCheck, Inlined: true}
	for _, p := range list.Plugins {
		c.Plugins = append(c.Plugins, p.Bytes)
	}
	return c
}

func (c *conf) list() (*libcni.NetworkConfigList, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(data)
}

// status is nil when a configuration is there whose plugins are, and say that they are ready, where they can.
func (c *cni) status() error {
	file, list, err := c.first()
	if err != nil {
		return err
	}
	for _, p := range list.Plugins {
		if _, err := c.runner.FindInPath(p.Network.Type, c.binDirs); err != nil {
			return fmt.Errorf("CNI configuration %s: %w", file, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	if err := c.plugins.GetStatusNetworkList(ctx, list); err != nil {
		return fmt.Errorf("CNI network %s is not ready: %w", list.Name, err)
	}
	return nil
}
