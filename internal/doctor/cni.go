package doctor

import (
	"context"

	"github.com/containerd/errdefs"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/cri/network"
)

// checkCNI tells who connects Pods.
func checkCNI(ctx context.Context, cfg Config) Finding {
	const bridge = "Pods are on Mayfly's own bridge"
	if cfg.CNIConfDir == "" {
		return ok("not asked for: %s", bridge)
	}
	file, err := network.FindCNI(ctx, cfg.CNIConfDir, cfg.CNIBinDirs)
	switch {
	case err == nil:
		return ok("Pods are connected by %s; --cni-conf-dir %s keeps them on Mayfly's own bridge", file, config.CNINone)
	case !cfg.CNIAutomatic:
		return warning("put a configuration there, and its plugins into a directory of --cni-bin-dir", "%v: new Pods wait", err)
	case errdefs.IsNotFound(err):
		return ok("%v: %s", err, bridge)
	}
	return warning("mend it, or say --cni-conf-dir "+config.CNINone, "%v: %s", err, bridge)
}
