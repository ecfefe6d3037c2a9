package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var wholeID = regexp.MustCompile("[0-9a-f]{64}")

// orphans lists what is there and belongs to nothing that the runtime tells of.
func (c *crash) orphans(s *seen) []string {
	c.Helper()
	living := map[string]bool{} // what may have processes
	known := map[string]bool{}
	networks := 0
	for _, pod := range s.pods {
		known[pod.GetId()], living[pod.GetId()] = true, true // its monitor outlives its pause process
		networks++
	}
	for _, one := range s.containers {
		known[one.GetId()], living[one.GetId()] = true, one.GetState() == runtimev1.ContainerState_CONTAINER_RUNNING
	}
	found := append(c.strayProcesses(living), c.strayPaths(known)...)
	if links, _ := os.ReadDir("/sys/class/net/mf-" + c.cfg.InstanceID[:6] + "/brif"); len(links) > networks {
		found = append(found, fmt.Sprintf("%d links on the bridge of %d sandboxes", len(links), networks))
	}
	return found
}

// strayProcesses finds processes by the instance's paths in their arguments, and by its cgroups.
func (c *crash) strayProcesses(living map[string]bool) (stray []string) {
	c.Helper()
	monitors := map[string]bool{}
	for id := range living {
		monitors[id[:16]] = living[id]
	}
	spares := 0
	for _, pid := range c.processes() {
		line := strings.Join(commandLine(pid), " ")
		box := c.watchedBy(pid)
		if isSpare(box) {
			if spares++; spares > 1 {
				stray = append(stray, fmt.Sprintf("process %d, spare monitor number %d", pid, spares))
			}
			continue
		}
		if !monitors[box] && !living[wholeID.FindString(line)] {
			stray = append(stray, fmt.Sprintf("process %d: %s", pid, line))
		}
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/mayfly-" + c.cfg.InstanceID + "/*/*")
	if err != nil {
		c.Fatal(err)
	}
	for _, path := range groups {
		if content, _ := os.ReadFile(filepath.Join(path, "cgroup.procs")); len(content) > 0 && !living[filepath.Base(path)] {
			stray = append(stray, fmt.Sprintf("processes %q in %s", content, path))
		}
	}
	return stray
}

// strayPaths finds files, directories, mounts and cgroups that are named after something unknown.
func (c *crash) strayPaths(known map[string]bool) (stray []string) {
	c.Helper()
	group := "/sys/fs/cgroup/*/mayfly-" + c.cfg.InstanceID
	paths := c.mounts()
	for _, pattern := range []string{
		c.cfg.RootDir + "/containers/*", c.cfg.RootDir + "/sandboxes/*", c.cfg.RootDir + "/state/*/*", c.cfg.RootDir + "/network/*",
		c.cfg.RunDir + "/*/*", c.cfg.RunDir + "/oci/*/*", group + "/*", group + "/*/*",
	} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			c.Fatal(err)
		}
		paths = append(paths, matches...)
	}
	shortened := map[string]bool{}
	for id := range known {
		shortened[id[:16]] = true
	}
	for _, path := range paths {
		if ids := wholeID.FindAllString(path, -1); len(ids) > 0 {
			if !known[ids[len(ids)-1]] {
				stray = append(stray, path)
			}
			continue
		}
		// A monitor's files have short names; all other names belong to the instance.
		if short, _, _ := strings.Cut(filepath.Base(path), "."); len(short) == 16 && !shortened[short] {
			stray = append(stray, path)
		}
	}
	return stray
}
