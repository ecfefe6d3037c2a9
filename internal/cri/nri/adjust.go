package nri

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/runtime-tools/generate"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/cri/cdi"
)

// adjust changes a specification as plugins want it. Whether it can be run then is for others to say.
func (p *Plugins) adjust(built *specs.Spec, wanted *api.ContainerAdjustment) error {
	adjuster := generate.SpecGenerator(editor{built},
		generate.WithBlockIOResolver(func(class string) (*specs.LinuxBlockIO, error) {
			return nil, fmt.Errorf("class %q: this runtime knows no classes of block I/O: %w", class, errdefs.ErrInvalidArgument)
		}),
		generate.WithRdtResolver(func(class string) (*specs.LinuxIntelRdt, error) {
			return &specs.LinuxIntelRdt{ClosID: class}, nil
		}),
		generate.WithCDIDeviceInjector(func(s *specs.Spec, devices []string) error {
			return cdi.Inject(s, p.cfg.CDIDirs, devices)
		}),
	)
	if err := adjuster.Adjust(wanted); err != nil {
		return fmt.Errorf("what NRI plugins want changed: %w", err)
	}
	return nil
}
