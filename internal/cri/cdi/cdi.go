// Package cdi gives containers devices by name, as the Container Device Interface has it: a file of the host's
// administrator or of a device's vendor says what a container that gets the device needs of nodes, mounts, variables
// and hooks. See https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md.
package cdi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// DefaultDirs is where hosts keep the files; what is found in a later one goes before.
func DefaultDirs() []string { return slices.Clone(cdi.DefaultSpecDirs) }

// Asked lists the devices that a client asks for, each once: by their field, and by annotations under cdi.k8s.io as device
// plugins did before there was one.
func Asked(config *runtimev1.ContainerConfig) ([]string, error) {
	var names []string
	for _, device := range config.GetCDIDevices() {
		names = append(names, device.GetName())
	}
	_, annotated, err := cdi.ParseAnnotations(config.GetAnnotations())
	if err != nil {
		return nil, fmt.Errorf("annotations: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	slices.Sort(annotated) // out of a map
	var once []string
	for _, name := range append(names, annotated...) {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once, nil
}

// Inject puts devices into a specification. The files in dirs are read each time: devices come and go.
func Inject(s *specs.Spec, dirs, names []string) error {
	if len(names) == 0 {
		return nil
	}
	cache, err := cdi.NewCache(cdi.WithSpecDirs(dirs...), cdi.WithAutoRefresh(false))
	if err != nil {
		return fmt.Errorf("read CDI specifications: %w", err)
	}
	unknown, err := cache.InjectDevices(s, names...)
	if len(unknown) > 0 {
		return fmt.Errorf("CDI device %s is not described by any specification in %s: %w",
			strings.Join(unknown, ", "), strings.Join(dirs, ", "), errors.Join(errdefs.ErrInvalidArgument, flaws(cache)))
	}
	if err != nil {
		return fmt.Errorf("CDI devices %s: %w: %w", strings.Join(names, ", "), err, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// flaws are what is wrong with files that could not be read: one of them may describe the device that is missed.
func flaws(cache *cdi.Cache) error {
	var all []error
	for path, errs := range cache.GetErrors() {
		all = append(all, fmt.Errorf("%s: %w", path, errors.Join(errs...)))
	}
	return errors.Join(all...)
}
