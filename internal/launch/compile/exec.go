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

// ExecOptions say where an exec'd process goes.
type ExecOptions struct {
	// CgroupDirs are the container's cgroups.
	CgroupDirs []string
	// Seccomp is the container's (spec.Linux.Seccomp); nil for none.
	Seccomp *specs.LinuxSeccomp
	// Filters and Traced are as in Options.
	Filters *seccomp.Cache
	Traced  bool
	// UIDMappings and GIDMappings are the container's, when it has a user namespace.
	UIDMappings, GIDMappings []specs.LinuxIDMapping
}

// Exec compiles a process that enters a running container, which the monitor knows by
// the ID in its ExecRequest: its namespaces, root and cgroups. Capabilities, user, groups,
// environment and cwd are the process's own.
func Exec(process *specs.Process, opt ExecOptions) (*launch.Program, []*os.File, error) {
	c := newCompiler()
	return c.finish(c.enter(process, opt))
}

func (c *compiler) enter(p *specs.Process, opt ExecOptions) error {
	if p == nil || len(p.Args) == 0 {
		return errors.New("no command")
	}
	c.Must(unix.SYS_UMASK, "", launch.Int(0))
	if err := c.joinCgroups(opt.CgroupDirs); err != nil {
		return err
	}
	c.oomScore(p.OOMScoreAdj)
	c.openLabel(p)
	target := launch.FileArg(launch.FileTarget)
	if len(opt.UIDMappings) > 0 {
		c.users = &users{namespace: target, uids: opt.UIDMappings, gids: opt.GIDMappings}
	}
	if err := c.ownPipes(p); err != nil {
		return err
	}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	c.pids = &target
	c.beBorn(opt.Traced)
	c.Must(unix.SYS_SETNS, "enter the container", launch.FileArg(launch.FileTarget), launch.Int(namespaces))
	c.openRoot()
	if err := c.fork(p); err != nil {
		return err
	}
	if c.users != nil {
		c.becomeRoot(target)
	}
	c.stdio(p, false)
	filter, err := opt.Filters.Compile(opt.Seccomp)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return c.process(p, filter)
}

// PauseOptions say in which namespaces a sandbox's pause process lives.
type PauseOptions struct {
	// Namespaces as in an OCI configuration; a mount namespace is always made.
	Namespaces []specs.LinuxNamespace
	CgroupDirs []string
	// Hostname is set when not empty; Sysctl as in an OCI configuration.
	Hostname string
	Sysctl   map[string]string
	// Root is any directory of the host, and of Mounts; nothing in it is touched or seen.
	Root string
	// Mounts is as in Options.
	Mounts string
}

// Pause compiles the process that keeps a sandbox's namespaces and reaps orphans as
// PID 1: the monitor's own executable, in an empty read-only root, with no rights.
// Start it with monitor.Client.Start as any container.
func Pause(opt PauseOptions) (*launch.Program, []*os.File, error) {
	c := newCompiler()
	return c.finish(c.pause(opt))
}

const nobody = 65535 // as the usual pause image has it

func (c *compiler) pause(opt PauseOptions) error {
	if err := c.joinCgroups(opt.CgroupDirs); err != nil {
		return err
	}
	score := -998
	c.oomScore(&score)
	if err := c.joinNamespaces(opt.Namespaces, false); err != nil {
		return err
	}
	if c.pids != nil {
		return fmt.Errorf("a pause process in another's PID namespace: %w", ErrUnsupported)
	}
	c.hostname(opt.Hostname, "")
	if err := c.sysctls(opt.Sysctl); err != nil {
		return err
	}
	root, none := opt.Root, launch.Int(0)
	if root == "" {
		root = "/tmp"
	}
	flags := unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
	if err := c.newMounts(opt.Mounts); err != nil {
		return err
	}
	c.Must(unix.SYS_MOUNT, "mount empty root", c.Text("tmpfs"), c.Text(root), c.Text("tmpfs"), launch.Int(flags), c.Text("size=0k"))
	c.pivot(root)
	p := &specs.Process{User: specs.User{UID: nobody, GID: nobody}}
	c.stdio(p, false)
	c.Must(unix.SYS_CLOSE_RANGE, "keep nothing else open", launch.Int(3), launch.Int(1<<32-1), launch.Int(unix.CLOSE_RANGE_CLOEXEC))
	if err := c.credentials(p); err != nil {
		return err
	}
	c.dieWithMonitor()
	c.Must(unix.SYS_PRCTL, "no new privileges", launch.Int(unix.PR_SET_NO_NEW_PRIVS), launch.Int(1), none, none, none)
	c.Must(unix.SYS_EXECVEAT, "exec pause", launch.FileArg(launch.FileSelf), c.Text(""), c.Texts("pause"), c.Texts("GODEBUG=madvdontneed=1"), launch.Int(unix.AT_EMPTY_PATH))
	return nil
}
