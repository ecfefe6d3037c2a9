package container

import (
	"fmt"
	"os"

	"github.com/mayfly-run/mayfly/internal/launch"
)

// Program is what a container is started by, as people read it: its launch program, or that which starts its OCI runtime. It
// is compiled anew, so what it names must be there: of a container that has ended, the cgroup is not.
func (s *Service) Program(c *Container) (string, error) {
	built, err := s.loadSpec(c)
	if err != nil {
		return "", err
	}
	group, err := s.cfg.Cgroups.Group(c.snapshot().Cgroup)
	if err != nil {
		return "", err
	}
	var program *launch.Program
	var files []*os.File
	if c.snapshot().Handler == "" {
		program, files, err = s.compile(c, built, group, s.traced(c))
	} else if runtime, notThere := s.runtime(c); notThere != nil {
		err = notThere
	} else {
		program, files, err = s.hostProgram(c, runtime, runtime.Run(c.ID, s.dir(c.ID)), c.Config().GetTty())
	}
	closeAll(files)
	if err != nil {
		return "", fmt.Errorf("compile container %q: %w", c.ID, err)
	}
	return program.String(), nil
}
