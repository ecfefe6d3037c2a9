package cri

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestHostileHandlers: what containers that mean harm do to the monitor and the runtime around an OCI runtime. That one keeps
// them inside; that it is asked the right way shows where an image's links would lead.
func TestHostileHandlers(t *testing.T) {
	eachHandler(t, func(t *testing.T, f *fixture, pod string, config *runtimev1.PodSandboxConfig) {
		const limit = 60
		beside := f.run(pod, config, "beside")
		bomb := f.run(pod, config, "bomb", shell(forkBomb), func(c *runtimev1.ContainerConfig) {
			c.Linux.Resources = &runtimev1.LinuxContainerResources{CpuShares: 2, Unified: map[string]string{"pids.max": fmt.Sprint(limit)}}
		})
		f.until("the bomb has gone off", func() bool { return len(f.inside(bomb)) >= limit/4 })
		if n := len(f.inside(bomb)); n > limit {
			t.Errorf("%d processes in a container of %d", n, limit)
		}
		if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: bomb, Timeout: 1}); err != nil || len(f.inside(bomb)) > 0 {
			t.Errorf("stopped: %v, with processes %v", err, f.inside(bomb))
		}
		f.run(pod, config, "flood", shell("head -c 16777216 /dev/zero; echo; echo end; sleep 1000"))
		f.until("all of it is logged", func() bool {
			log, err := os.Stat(filepath.Join(f.logs, "web", "flood.log"))
			return err == nil && log.Size() >= 16<<20
		})
		if peak := memory(t, f.monitorPID(pod), "VmHWM"); peak > 24<<20 {
			t.Errorf("the monitor took %d MB", peak>>20)
		}
		if got := f.exec(beside, "ls", "/proc/self/fd"); got != "0\n1\n2\n3" { // the last is of the directory that is read
			t.Errorf("a command has the descriptors %q", got)
		}
		f.hostileLinks(t, pod, config)
		if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
			t.Error(err)
		}
		if left := f.remembered(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// hostileLinks starts containers of images whose places of mounts are links.
func (f *fixture) hostileLinks(t *testing.T, pod string, config *runtimev1.PodSandboxConfig) {
	t.Helper()
	outside, volume := t.TempDir(), t.TempDir()
	before := hostMounts(t)
	for _, place := range []string{"dev", "proc", "sys", "data"} {
		for kind, target := range map[string]string{"climb": strings.Repeat("../", 20) + outside, "procfs": "/proc/self", "descriptor": "/proc/self/fd/7"} {
			label := place + "-" + kind
			image := f.craft(label, "", []tar.Header{link(place, target)}, nil)
			id, err := f.attempt(pod, config, image, label, func(c *runtimev1.ContainerConfig) {
				c.Linux.SecurityContext.MaskedPaths = []string{"/proc/kcore", "/proc/timer_list"}
				c.Mounts = []*runtimev1.Mount{{HostPath: volume, ContainerPath: "/data/volume"}}
			})
			switch {
			case place != "data" && !strings.Contains(fmt.Sprint(err), "the image has a link at /"+place):
				t.Errorf("%s: %v", label, err)
			case err == nil:
				f.kernels(label, id)
			}
			if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: id}); err != nil {
				t.Errorf("%s: remove: %v", label, err)
			}
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("the directory outside holds %v, %v", entries, err)
	}
	if after := hostMounts(t); after != before {
		t.Errorf("mounts of the host before\n%s\nafter\n%s", before, after)
	}
}
