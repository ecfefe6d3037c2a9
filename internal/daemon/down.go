package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/cri"
	"github.com/mayfly-run/mayfly/internal/node"
)

// Down stops the instance if it is up, then every Pod of it, and removes all that the kernel holds for it: mounts,
// namespaces, interfaces, cgroups, nftables rules. With purge it removes the data as well. It may be called again
// after it failed or was interrupted.
func Down(ctx context.Context, instance config.Instance, purge bool) error {
	held, err := stopHolder(ctx, instance.DataDir)
	if err != nil {
		return err
	}
	defer held.release()
	if err := cri.Purge(ctx, runtimeConfig(instance)); err != nil {
		return fmt.Errorf("remove Pods: %w", err)
	}
	if err := node.Purge(node.Config{RootDir: nodeDir(instance)}); err != nil {
		return fmt.Errorf("unmount volumes: %w", err)
	}
	if err := discard(instance.RunDir, instance.ID()); err != nil {
		return err
	}
	if !purge {
		return nil
	}
	return errors.Join(discard(instance.DataDir, instance.ID()), removeKubeconfig(instance))
}

func removeKubeconfig(instance config.Instance) error {
	if err := os.Remove(instance.Kubeconfig); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove kubeconfig: %w", err)
	}
	return nil
}
