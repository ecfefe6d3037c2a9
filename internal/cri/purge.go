package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/apparmor"
	"github.com/mayfly-run/mayfly/internal/cri/container"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/network"
	"github.com/mayfly-run/mayfly/internal/cri/oci"
	"github.com/mayfly-run/mayfly/internal/cri/sandbox"
	"github.com/mayfly-run/mayfly/internal/cri/systemd"
	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// Purge stops every sandbox and container of the instance and removes all that the kernel holds for it: mounts,
// namespaces, cgroups, bridge, nftables. Files stay, so that the next runtime tells how the containers ended. The
// runtime of the instance must not be running.
//
// It needs neither images nor a network that works, goes on past what it cannot do, and may be interrupted and
// repeated: every step finds out for itself what is left.
func Purge(ctx context.Context, cfg Config) error {
	cfg = cfg.complete()
	cgroups, err := cgroup.Open()
	if err != nil {
		return fmt.Errorf("open cgroups: %w", err)
	}
	root, err := cgroups.Group(cfg.CgroupRoot)
	if err != nil {
		return fmt.Errorf("find cgroup of the instance: %w", err)
	}
	errs := []error{network.Purge(ctx, cfg.network())}
	pods := purgePods(ctx, cfg, cgroups)
	if err := ignoreMissing(root.Kill(ctx)); err != nil {
		errs = append(errs, err)
	}
	if pods != nil { // a monitor that did not obey is dead now
		pods = purgePods(ctx, cfg, cgroups)
	}
	errs = append(errs, pods, ignoreMissing(root.Remove(ctx)), purgeSlice(ctx, cgroups, cfg.CgroupRoot), apparmor.Unload(cfg.appArmorProfile()), oci.Purge(cfg.CgroupRoot), ignoreMissing(os.Remove(cfg.Socket)), clearRunDir(cfg.RunDir))
	return errors.Join(errs...)
}

// purgePods stops sandboxes and containers, and removes those that can tell nothing.
func purgePods(ctx context.Context, cfg Config, cgroups *cgroup.Host) error {
	if !exists(filepath.Join(cfg.RootDir, "state")) && !exists(filepath.Join(cfg.RunDir, "netns")) {
		return nil // nothing was ever here, or is any more
	}
	s := &Server{cfg: cfg, cgroups: cgroups}
	defer s.close()
	if err := s.assemble(noImages{}, noNetwork{}); err != nil {
		return fmt.Errorf("open runtime to take it down: %w", err)
	}
	_, err := s.find(ctx)
	err = errors.Join(err, together(s.containers.All(), func(c *container.Container) error {
		if _, err := s.sandboxes.Get(c.SandboxID()); err != nil {
			return s.containers.Remove(ctx, c)
		}
		return s.containers.Retire(ctx, c)
	}))
	err = errors.Join(err, together(s.sandboxes.All(), func(box *sandbox.Sandbox) error { return s.stopSandbox(ctx, box) }))
	return errors.Join(err, s.sandboxes.EndStrays(ctx))
}

// together does something with each of a list, some at a time: what ends takes its time, most of it the kernel's.
func together[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	var work errgroup.Group
	work.SetLimit(16)
	for i, one := range list {
		work.Go(func() error {
			errs[i] = do(one)
			return nil
		})
	}
	_ = work.Wait()
	return errors.Join(errs...)
}

// purgeSlice ends the instance's slice, with all below it, where the runtime had systemd make cgroups.
func purgeSlice(ctx context.Context, cgroups *cgroup.Host, root string) error {
	slice := strings.TrimSuffix(path.Base(root), ".slice") + ".slice"
	group, err := cgroups.Group("/" + slice)
	if err != nil || !exists(group.KillDir()) {
		return err
	}
	manager, err := systemd.Open()
	if err != nil {
		return err
	}
	return errors.Join(group.Kill(ctx), manager.Stop(ctx, slice))
}

// clearRunDir removes what the runtime made below the run directory, but never a directory that holds a mount.
func clearRunDir(run string) error {
	for _, dir := range []string{"netns", "ns", "shm", nriSocket} {
		if err := ignoreMissing(os.Remove(filepath.Join(run, dir))); err != nil {
			return fmt.Errorf("remove run directory: %w", err)
		}
	}
	for _, dir := range []string{"monitor", "oci"} {
		if err := os.RemoveAll(filepath.Join(run, dir)); err != nil {
			return fmt.Errorf("remove run directory: %w", err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// noImages takes the place of the image store where containers only go.
type noImages struct{}

// Rootfs implements container.Images.
func (noImages) Rootfs(context.Context, string, string) (image.Image, error) {
	return image.Image{}, nil
}

// Release implements container.Images.
func (noImages) Release(string) {}

// noNetwork takes the place of the network where all of it goes at once.
type noNetwork struct{}

// Setup implements sandbox.Network.
func (noNetwork) Setup(context.Context, string, string, *runtimev1.PodSandboxConfig) ([]string, error) {
	return nil, errors.ErrUnsupported
}

// Teardown implements sandbox.Network.
func (noNetwork) Teardown(context.Context, string, string, *runtimev1.PodSandboxConfig) error {
	return nil
}
