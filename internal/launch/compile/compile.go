// Package compile turns OCI runtime configurations into launch programs.
//
// The input is the public OCI runtime-spec v1.x; what the kernel or Mayfly cannot
// do is an error, never ignored. Every path of the container is resolved inside its
// own root, after pivot_root, and never through a magic link of procfs.
package compile

import (
	"errors"
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/launch"
	"github.com/mayfly-run/mayfly/internal/launch/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrUnsupported marks what a configuration asks for and Mayfly cannot do.
var ErrUnsupported = errors.New("not supported")

// Options hold what the OCI configuration does not say.
type Options struct {
	// Overlay is mounted on spec.Root.Path (which must exist) and becomes the root;
	// without it spec.Root.Path itself does.
	Overlay *Overlay
	// CgroupDirs are existing directories that the process joins: one per v1 hierarchy,
	// or one of v2. cgroup.Group.Dirs gives them. spec.Linux.CgroupsPath is not looked at.
	CgroupDirs []string
	// Filters remembers compiled seccomp profiles; nil compiles each time, which takes long.
	Filters *seccomp.Cache
	// Traced says that somebody in the PID namespace that is joined may trace: has CAP_SYS_PTRACE on the host. The
	// process has memory of its own then before it can be seen, which takes longer.
	Traced bool
	// Mounts is the path of the mount namespace that the container's begins as a copy of, empty for the host's. It holds
	// spec.Root.Path and the layers, at the same paths, and nothing in it is shared with another.
	Mounts string
}

// Overlay is a root made of image layers.
type Overlay struct {
	Lower       []string // top first
	Upper, Work string   // both empty for a read-only root
	Volatile    bool     // skip syncs of the upper layer
}

// compiler carries a program while it grows.
type compiler struct {
	*launch.Builder
	files []*os.File
	root  launch.Arg // O_PATH descriptor of the container's root
	// attr is where the label of the next execve is written to, when there is one.
	attr  launch.Arg
	label string
	// pids is the PID namespace that is entered, when it is another's.
	pids *launch.Arg
	// users is the user namespace, nil for the host's; nodes are its devices by path.
	users *users
	nodes map[string]launch.Arg
	// fresh holds the roots of file systems that only this program has written to, by path.
	fresh map[string]launch.Arg
	// bounded says that the bounding set is done.
	bounded bool
	// unified says that the cgroups that are joined are of v2.
	unified bool
}

func newCompiler() *compiler {
	return &compiler{Builder: launch.NewBuilder(), fresh: map[string]launch.Arg{}}
}

// file opens a file that travels with the program.
func (c *compiler) file(path string, flags int) (launch.Arg, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0) // os.Open would ask whether it can be waited for: four more calls
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return launch.Arg{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	c.files = append(c.files, os.NewFile(uintptr(fd), path))
	return c.AddFile(), nil
}

func (c *compiler) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// finish gives the program, or closes the files.
func (c *compiler) finish(err error) (*launch.Program, []*os.File, error) {
	if err != nil {
		c.close()
		return nil, nil, err
	}
	return c.Program(), c.files, nil
}

// Container compiles a container. Namespaces with a path are joined, those without are
// made, those absent are the host's; a mount namespace must be made. process.terminal
// allocates a terminal from the container's own devpts. A user namespace is joined by its
// path, with spec.Linux.UIDMappings and GIDMappings telling how it was made; layers then show
// the container's users, as do bind mounts with the option idmap or ridmap. The caller closes the files once
// the program was started.
func Container(spec *specs.Spec, opt Options) (*launch.Program, []*os.File, error) {
	c := newCompiler()
	return c.finish(c.container(spec, opt))
}

func (c *compiler) container(spec *specs.Spec, opt Options) error {
	if err := Check(spec); err != nil {
		return err
	}
	c.Must(unix.SYS_UMASK, "", launch.Int(0))
	if err := c.joinCgroups(opt.CgroupDirs); err != nil {
		return err
	}
	c.oomScore(spec.Process.OOMScoreAdj)
	c.openLabel(spec.Process)
	if err := c.userNamespace(spec.Linux); err != nil {
		return err
	}
	if err := c.ownPipes(spec.Process); err != nil {
		return err
	}
	if err := c.namespaces(spec); err != nil {
		return err
	}
	c.beBorn(opt.Traced)
	c.May(unix.SYS_KEYCTL, "new session keyring", launch.Int(unix.KEYCTL_JOIN_SESSION_KEYRING), launch.Int(0))
	sources, err := c.openSources(spec, opt)
	if err != nil {
		return err
	}
	if err := c.openDevices(spec); err != nil {
		return err
	}
	if err := c.newMounts(opt.Mounts); err != nil {
		return err
	}
	if err := c.enterRoot(spec.Root.Path, opt.Overlay); err != nil {
		return err
	}
	if err := c.fork(spec.Process); err != nil {
		return err
	}
	if err := c.detachSystem(spec, sources); err != nil {
		return err
	}
	c.enterUsers()
	for i, m := range spec.Mounts {
		if err := c.mount(m, sources[i]); err != nil {
			return fmt.Errorf("mount %s: %w", m.Destination, err)
		}
	}
	if err := c.devices(spec); err != nil {
		return err
	}
	c.ensureDir(cwd(spec.Process), "make working directory "+cwd(spec.Process))
	c.stdio(spec.Process, true)
	c.hidePaths(spec.Linux)
	if err := c.sealRoot(spec); err != nil {
		return err
	}
	filter, err := opt.Filters.Compile(spec.Linux.Seccomp)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return c.process(spec.Process, filter)
}

// Check refuses what would otherwise be ignored.
func Check(spec *specs.Spec) error {
	switch {
	case spec.Process == nil || len(spec.Process.Args) == 0:
		return errors.New("no command")
	case spec.Root == nil || spec.Root.Path == "":
		return errors.New("no root")
	case spec.Linux == nil:
		return errors.New("no linux section")
	case spec.Linux.MountLabel != "":
		return fmt.Errorf("SELinux mount label: %w", ErrUnsupported)
	case spec.Hooks != nil && (len(spec.Hooks.Prestart)+len(spec.Hooks.CreateRuntime)+len(spec.Hooks.CreateContainer)+ //nolint:staticcheck // refused, not used
		len(spec.Hooks.StartContainer)+len(spec.Hooks.Poststart)+len(spec.Hooks.Poststop)) > 0:
		return fmt.Errorf("hooks: %w", ErrUnsupported)
	case spec.Linux.IntelRdt != nil || spec.Linux.Personality != nil || spec.Process.IOPriority != nil || spec.Process.Scheduler != nil:
		return fmt.Errorf("RDT, personality, I/O priority or scheduler: %w", ErrUnsupported)
	case len(spec.Linux.NetDevices) > 0 || spec.Linux.MemoryPolicy != nil:
		return fmt.Errorf("network devices or memory policy: %w", ErrUnsupported)
	}
	return nil
}

func cwd(p *specs.Process) string {
	if p.Cwd == "" {
		return "/"
	}
	return p.Cwd
}
