package cri

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/mayfly-run/mayfly/test/setting"
)

// TestHostileOutput: containers and commands that write without end, with lines and without. Neither the monitor nor the
// runtime keeps more than its bounds (CVE-2022-1708).
func TestHostileOutput(t *testing.T) {
	f := newFixture(t)
	f.stop()
	r := f.spawn()
	defer r.kill()
	f.RuntimeServiceClient = r
	pod, config := f.pod("web")
	f.run(pod, config, "lines", shell("yes | head -c 8388608; sleep 1000"))
	f.run(pod, config, "line", shell("head -c 33554432 /dev/zero; echo; echo end; sleep 1000"))
	f.run(pod, config, "both", shell("(head -c 16777216 /dev/zero >&2) & head -c 16777216 /dev/zero; wait; echo; echo end; sleep 1000"))
	id := f.run(pod, config, "app")
	var calls sync.WaitGroup
	for _, command := range []string{"cat /dev/zero", "yes", "cat /dev/zero >&2", "(yes >&2) & cat /dev/zero"} {
		calls.Go(func() { // an end to it comes with the time that it is given
			_, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", command}, Timeout: 1})
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("%s: %v", command, err)
			}
		})
	}
	calls.Wait()
	answer, err := f.ExecSync(t.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", "head -c 134217728 /dev/zero; echo end >&2"}, Timeout: 60}, grpc.MaxCallRecvMsgSize(64<<20))
	if err != nil || len(answer.GetStdout()) != maxExecOutput || string(answer.GetStderr()) != "end\n" {
		t.Errorf("%d bytes, %q, %v", len(answer.GetStdout()), answer.GetStderr(), err)
	}
	for _, name := range []string{"line", "both"} {
		f.until("all of "+name+" is logged", func() bool {
			log, err := os.Stat(filepath.Join(f.logs, "web", name+".log"))
			return err == nil && log.Size() >= 32<<20
		})
	}
	// Its program's own pages are 2 MB of it.
	if peak := memory(t, f.monitorPID(pod), "VmHWM"); peak > 24<<20 {
		t.Errorf("the monitor took %d MB", peak>>20)
	}
	if peak := memory(t, r.cmd.Process.Pid, "VmHWM"); peak > 600<<20 {
		t.Errorf("the runtime took %d MB", peak>>20)
	}
}

// forkBomb has each process make two, and stay. One that cannot make any ends, since its shell gives up.
const forkBomb = "mkfifo /f; bomb() { bomb & bomb & read x <>/f; }; bomb"

// TestHostileForks: a fork bomb fills its container's limit and disturbs nobody, and goes when it is told to.
func TestHostileForks(t *testing.T) {
	const limit = 60
	f := newFixture(t)
	pod, config := f.pod("web")
	beside := f.run(pod, config, "beside")
	bomb := func(name string) string {
		id := f.run(pod, config, name, shell(forkBomb), func(c *runtimev1.ContainerConfig) {
			c.Linux.Resources = &runtimev1.LinuxContainerResources{CpuShares: 2, Unified: map[string]string{"pids.max": strconv.Itoa(limit)}}
		})
		f.until("the bomb has gone off", func() bool { return len(f.inside(id)) >= limit/4 })
		return id
	}
	stopped, removed, left := bomb("stopped"), bomb("removed"), bomb("left")
	for _, id := range []string{stopped, removed, left} {
		if n := len(f.inside(id)); n > limit {
			t.Errorf("%d processes in a container of %d", n, limit)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := f.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"true"}, Timeout: 5}); ctx.Err() != nil {
			t.Errorf("a command in it: %v", err)
		}
		cancel()
	}
	if got := f.exec(beside, "echo", "well"); got != "well" {
		t.Errorf("the container beside them says %q", got)
	}
	if _, err := f.StopContainer(t.Context(), &runtimev1.StopContainerRequest{ContainerId: stopped, Timeout: 1}); err != nil {
		t.Error(err)
	}
	if end := f.status(stopped); end.GetState() != runtimev1.ContainerState_CONTAINER_EXITED || len(f.inside(stopped)) > 0 {
		t.Errorf("stopped: %v, with processes %v", end, f.inside(stopped))
	}
	if _, err := f.RemoveContainer(t.Context(), &runtimev1.RemoveContainerRequest{ContainerId: removed}); err != nil {
		t.Error(err)
	}
	if _, err := f.RemovePodSandbox(t.Context(), &runtimev1.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
		t.Error(err)
	}
	if groups, err := filepath.Glob("/sys/fs/cgroup/*/mayfly-" + f.cfg.InstanceID + "/" + pod); err != nil || len(groups) > 0 {
		t.Errorf("left: %v, %v", groups, err)
	}
}

// inside are the processes of a container.
func (f *fixture) inside(id string) []int {
	f.Helper()
	group, err := f.server.cgroups.Group(f.cfg.complete().CgroupRoot)
	if c, getErr := f.server.containers.Get(id); getErr == nil {
		box, boxErr := f.server.sandboxes.Get(c.SandboxID())
		if boxErr != nil {
			f.Fatal(boxErr)
		}
		group, err = f.server.cgroups.Group(box.CgroupParent() + "/" + id)
	}
	if err != nil {
		f.Fatal(err)
	}
	pids, err := group.Processes()
	if err != nil {
		f.Fatal(err)
	}
	return pids
}

// abortedSessions is how many clients vanish; there are ten thousand in the issue.
const abortedSessions = "MAYFLY_ABORTED_SESSIONS"

// TestHostileSessions: clients of exec and attach that vanish in every way leave nothing behind, in the runtime or the
// monitor.
func TestHostileSessions(t *testing.T) {
	f := newFixture(t)
	pod, config := f.pod("web")
	id := f.run(pod, config, "app", func(c *runtimev1.ContainerConfig) { c.Command, c.Stdin, c.Tty = []string{"cat"}, true, true })
	quiet := f.run(pod, config, "quiet")
	attach := func(id string, tty bool) *session {
		return f.connect(f.attachURL(&runtimev1.AttachRequest{ContainerId: id, Stdin: tty, Stdout: true, Stderr: !tty, Tty: tty}), remotecommand.StreamProtocolV4Name)
	}
	exec := func(tty bool, command ...string) *session {
		return f.connect(f.execURL(&runtimev1.ExecRequest{ContainerId: quiet, Cmd: command, Stdin: true, Stdout: true, Stderr: !tty, Tty: tty}), remotecommand.StreamProtocolV4Name)
	}
	ways := []func(){
		func() { attach(id, true).open("stdin", "stdout", "resize").Close() },
		func() { attach(quiet, false).open("stdout", "stderr").Close() }, // nothing is ever written there
		func() { attach(quiet, false).open("stdout").Close() },           // one that is never opened
		func() { attach(quiet, false).Close() },
		func() { exec(true, "sh").open("stdin", "stdout", "resize").Close() },
		func() { exec(false, "cat").open("stdin", "stdout", "stderr").Close() },
		func() { exec(false, "yes").open("stdin", "stdout", "stderr").Close() },
		func() { exec(false, "true").open("stdin").Close() },
		func() { f.execURL(&runtimev1.ExecRequest{ContainerId: quiet, Cmd: []string{"true"}, Stdout: true}) }, // a URL that nobody asks for
	}
	abort := func(n int) {
		for i := range n {
			ways[i%len(ways)]()
		}
	}
	count := func() [5]int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		monitor := f.monitorPID(pod)
		return [5]int64{int64(runtime.NumGoroutine()), descriptors(t, os.Getpid()), descriptors(t, monitor), int64(m.HeapInuse) >> 20, memory(t, monitor, "RssAnon") >> 20}
	}
	exec(true, "true").open("stdin", "stdout", "resize").all("stdout") // what is made once is there
	before := count()
	abort(setting.Number(t, abortedSessions, 1000))
	slack := [5]int64{10, 5, 3, 16, 2} // goroutines, descriptors here and there, megabytes here and there
	var after [5]int64
	deadline := time.Now().Add(90 * time.Second) // streams that were never opened are waited for for 30 s
	for settled := false; !settled; time.Sleep(100 * time.Millisecond) {
		after, settled = count(), len(f.inside(quiet)) == 1
		for i := range after {
			settled = settled && after[i] <= before[i]+slack[i]
		}
		if time.Now().After(deadline) {
			var stacks bytes.Buffer
			buffer := make([]byte, 1<<20)
			stacks.Write(buffer[:runtime.Stack(buffer, true)])
			t.Fatalf("goroutines, descriptors here and in the monitor, megabytes here and there before: %v, after: %v; processes %v\n%s", before, after, f.inside(quiet), stacks.String()[:min(stacks.Len(), 20000)])
		}
	}
	t.Logf("before %v, after %v", before, after)
}

func descriptors(t *testing.T, pid int) int64 {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(entries))
}
