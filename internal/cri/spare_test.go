package cri

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// spareMonitors finds the processes that work in the directory of a spare monitor, by directory.
func (f *fixture) spareMonitors() map[string]int {
	f.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		f.Fatal(err)
	}
	found := map[string]int{}
	for _, link := range links {
		dir, _ := os.Readlink(link)
		if match, _ := filepath.Match(filepath.Join(f.cfg.RunDir, "monitor", "spare-*"), dir); match {
			found[dir], _ = strconv.Atoi(filepath.Base(filepath.Dir(link)))
		}
	}
	return found
}

// spareMonitor waits until there is one that answers.
func (f *fixture) spareMonitor() (pid int) {
	f.Helper()
	for range 4000 {
		for dir, pid := range f.spareMonitors() {
			if _, err := os.Lstat(filepath.Join(dir, "socket")); err == nil && f.server.sandboxes.Spare() {
				return pid
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.Fatal("there is no spare monitor")
	return 0
}

// TestSpareMonitor: a sandbox takes the monitor that waits; one that died meanwhile does no harm; none outlives its
// runtime.
func TestSpareMonitor(t *testing.T) {
	f := newFixture(t)
	waiting := f.spareMonitor()
	pod, config := f.pod("first")
	if got := f.monitorPID(pod); got != waiting {
		t.Errorf("the sandbox has monitor %d, not %d, which waited", got, waiting)
	}
	f.exec(f.run(pod, config, "app"), "true")

	if err := unix.Kill(f.spareMonitor(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	other, config := f.pod("second")
	f.exec(f.run(other, config, "app"), "true")

	f.spareMonitor()
	f.stop()
	if left := f.spareMonitors(); len(left) > 0 {
		t.Errorf("left by a runtime that ended: %v", left)
	}
	f.start()
	f.exec(f.run(other, config, "again"), "true") // the monitor is found where its files went
}

// TestOlderMonitors: containers are found again whose monitor keeps its files where Mayfly's first versions had them.
func TestOlderMonitors(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app")
	f.stop()
	dir, elsewhere := filepath.Join(f.cfg.RunDir, "monitor", pod[:16]), filepath.Join(f.cfg.RunDir, "elsewhere")
	if err := os.Rename(dir, elsewhere); err != nil {
		t.Fatal(err)
	}
	f.settled(func() []string { // the monitor answers before it writes
		if _, err := os.Lstat(filepath.Join(elsewhere, "state")); err != nil {
			return []string{err.Error()}
		}
		return nil
	})
	for file, before := range map[string]string{"socket": dir + ".sock", "state": dir + ".state"} {
		if err := os.Link(filepath.Join(elsewhere, file), before); err != nil {
			t.Fatal(err)
		}
	}
	f.start()
	f.exec(id, "true")
	f.exec(f.run(pod, config, "another"), "true")
	if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Fatal(err)
	}
}
