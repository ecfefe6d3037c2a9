package compile

import (
	"errors"
	"os"

	"github.com/mayfly-run/mayfly/internal/launch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HostOptions say how a program of the host's is run.
type HostOptions struct {
	Env []string
	// CgroupDirs are joined; without them the monitor's own are kept.
	CgroupDirs []string
	// TTY allocates a terminal from the host's devpts.
	TTY bool
}

// Host compiles a program of the host's that runs as the monitor itself does: in its namespaces, as root, with all its
// rights. That is how another OCI runtime is run, which makes the container.
func Host(args []string, opt HostOptions) (*launch.Program, []*os.File, error) {
	c := newCompiler()
	return c.finish(c.host(args, opt))
}

func (c *compiler) host(args []string, opt HostOptions) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	names := capabilityNames()
	p := &specs.Process{
		Args: args, Env: opt.Env, Cwd: "/", Terminal: opt.TTY,
		Capabilities: &specs.LinuxCapabilities{Bounding: names[:], Effective: names[:], Permitted: names[:]},
	}
	c.Must(unix.SYS_UMASK, "", launch.Int(0))
	if err := c.joinCgroups(opt.CgroupDirs); err != nil {
		return err
	}
	c.openRoot()
	c.stdio(p, false)
	return c.process(p, nil)
}
