// Package compile turns OCI runtime configurations into launch programs.
//
// The input is the public OCI runtime-spec v1.x; what the kernel or Mayfly cannot
// do is an error, never ignored. Every path of the container is resolved inside its
// own root, after pivot_root.
package compile

import (
	"errors"
	"os"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Options hold what the OCI configuration does not say.
type Options struct {
	// Overlay is mounted on spec.Root.Path (which must exist) and becomes the root;
	// without it spec.Root.Path itself does.
	Overlay *Overlay
	// CgroupDirs are existing directories that the process joins: one per v1 hierarchy,
	// or one of v2. cgroup.Group.Dirs gives them. spec.Linux.CgroupsPath is not looked at.
	CgroupDirs []string
}

// Overlay is a root made of image layers.
type Overlay struct {
	Lower       []string // top first
	Upper, Work string   // both empty for a read-only root
	Volatile    bool     // skip syncs of the upper layer
}

// Container compiles a container. Namespaces with a path are joined, those without are
// made, those absent are the host's. process.terminal allocates a terminal from the
// container's own devpts. The caller closes the files once the program was started.
func Container(spec *specs.Spec, opt Options) (*launch.Program, []*os.File, error) {
	return nil, nil, errors.New("not there yet")
}

// ExecOptions say where an exec'd process goes.
type ExecOptions struct {
	// CgroupDirs are the container's cgroups.
	CgroupDirs []string
	// Seccomp is the container's (spec.Linux.Seccomp); nil for none.
	Seccomp *specs.LinuxSeccomp
	// HostPID says that the container has the host's PID namespace.
	HostPID bool
}

// Exec compiles a process that enters a running container, which the monitor knows by
// the ID in its ExecRequest: its namespaces, root and cgroups. Capabilities, user, groups,
// environment and cwd are the process's own.
func Exec(process *specs.Process, opt ExecOptions) (*launch.Program, []*os.File, error) {
	return nil, nil, errors.New("not there yet")
}

// PauseOptions say in which namespaces a sandbox's pause process lives.
type PauseOptions struct {
	// Namespaces as in an OCI configuration; a mount namespace is always made.
	Namespaces []specs.LinuxNamespace
	CgroupDirs []string
	// Hostname is set when a UTS namespace is made; Sysctl as in an OCI configuration.
	Hostname string
	Sysctl   map[string]string
}

// Pause compiles the process that keeps a sandbox's namespaces and reaps orphans as
// PID 1: the monitor's own executable, in an empty read-only root, with no rights.
// Start it with monitor.Client.Start as any container.
func Pause(opt PauseOptions) (*launch.Program, []*os.File, error) {
	return nil, nil, errors.New("not there yet")
}
