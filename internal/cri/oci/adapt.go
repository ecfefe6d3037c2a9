package oci

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/spec"
)

// version of the OCI runtime specification that all runtimes in use know; what a container asks for is in it.
const version = "1.0.2"

// Adapt makes a specification of what this process may hand on: other runtimes fail where a launch program makes do with
// less. root is where the container's file system is mounted.
func Adapt(s *specs.Spec, root string) error {
	s.Root.Path, s.Version = root, version
	have, err := permitted()
	if err != nil {
		return err
	}
	if c, names := s.Process.Capabilities, spec.Known(); c != nil {
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
			*set = slices.DeleteFunc(slices.Clone(*set), func(name string) bool { return have&(1<<slices.Index(names, name)) == 0 })
		}
	}
	if score := s.Process.OOMScoreAdj; score != nil && have&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		own, err := ownScore()
		if err != nil {
			return err
		}
		least := max(*score, own)
		s.Process.OOMScoreAdj = &least
	}
	return nil
}

// permitted are the capabilities that this process can give.
func permitted() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

func ownScore() (int, error) {
	content, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}
