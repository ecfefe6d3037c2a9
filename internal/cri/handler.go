package cri

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/oci"
)

// openHandlers asks each configured OCI runtime what it can do. One that does not answer is an error now, not in the
// middle of somebody's Pod.
func openHandlers(ctx context.Context, cfg Config) (map[string]*oci.Runtime, error) {
	all := map[string]*oci.Runtime{}
	for name, path := range cfg.RuntimeHandlers {
		if name == "" || name == runtimeName || name != filepath.Base(name) {
			return nil, fmt.Errorf("runtime handler %q: not a name for one", name)
		}
		runtime, err := oci.Open(ctx, path, filepath.Join(cfg.RunDir, "oci", name), cfg.CgroupRoot)
		if err != nil {
			return nil, fmt.Errorf("runtime handler %q: %w", name, err)
		}
		all[name] = runtime
	}
	return all, nil
}

// describeHandlers lists the handlers that a Pod may choose, the default ones first.
func (s *Server) describeHandlers() []*runtimev1.RuntimeHandler {
	own := &runtimev1.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true, UserNamespaces: true}
	list := []*runtimev1.RuntimeHandler{{Name: "", Features: own}, {Name: runtimeName, Features: own}}
	for _, name := range slices.Sorted(maps.Keys(s.handlers)) {
		list = append(list, &runtimev1.RuntimeHandler{Name: name, Features: &runtimev1.RuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: s.handlers[name].RecursiveReadOnly,
		}})
	}
	return list
}

// checkHandler refuses a handler that is not there, and what it cannot do.
func (s *Server) checkHandler(name string, config *runtimev1.PodSandboxConfig) error {
	if name == "" || name == runtimeName {
		return nil
	}
	if s.handlers[name] == nil {
		return fmt.Errorf("no runtime for %q is configured: %w", name, errdefs.ErrInvalidArgument)
	}
	users := config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions()
	if users != nil && users.GetMode() != runtimev1.NamespaceMode_NODE {
		return fmt.Errorf("runtime handler %q: no user namespaces of Pods: %w", name, errdefs.ErrInvalidArgument)
	}
	return nil
}
