package cri

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/cri/network"
)

// Purge stops and removes every sandbox and container of the instance and all that the kernel holds for it: mounts,
// namespaces, cgroups, bridge, nftables. Images and logs stay. The runtime of the instance must not be running.
func Purge(ctx context.Context, cfg Config) error {
	cfg = cfg.complete()
	s, err := New(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open runtime to take it down: %w", err)
	}
	defer s.streams.Close()
	var errs []error
	for _, box := range s.sandboxes.All() {
		errs = append(errs, s.removeSandbox(ctx, box))
	}
	for _, c := range s.containers.All() { // of sandboxes that are not known any more
		errs = append(errs, s.containers.Remove(ctx, c))
	}
	root, err := s.cgroups.Group(cfg.CgroupRoot)
	s.close()
	errs = append(errs, network.Purge(ctx, cfg.network()), err)
	if err == nil {
		errs = append(errs, ignoreMissing(root.Kill(ctx)), ignoreMissing(root.Remove(ctx)))
	}
	errs = append(errs, ignoreMissing(os.Remove(cfg.Socket)), removeEmptyDirs(cfg.RunDir))
	return errors.Join(errs...)
}

// removeEmptyDirs removes what the runtime made below the run directory, never anything that is still in use.
func removeEmptyDirs(run string) error {
	for _, dir := range []string{"netns", "ns", "shm", "monitor"} {
		if err := ignoreMissing(os.Remove(run + "/" + dir)); err != nil {
			return fmt.Errorf("remove run directory: %w", err)
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
