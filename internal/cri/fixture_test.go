package cri

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// buildMonitor builds cmd/podmonitor once.
var buildMonitor = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "podmonitor")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "podmonitor")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/mayfly-run/mayfly/cmd/podmonitor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build podmonitor: %w\n%s", err, output)
	}
	return os.ReadFile(path)
})

// fixture is a runtime on directories of its own, spoken to through its socket.
type fixture struct {
	testing.TB
	cfg    Config
	logs   string
	stop   func()
	server *Server
	runtimev1.RuntimeServiceClient
	images runtimev1.ImageServiceClient
	conn   *grpc.ClientConn
}

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("containers need root")
	}
	monitor, err := buildMonitor()
	if err != nil {
		t.Fatal(err)
	}
	id := freeInstance(t)
	root := t.TempDir()
	f := &fixture{TB: t, logs: filepath.Join(root, "logs"), cfg: Config{
		RootDir: filepath.Join(root, "root"), RunDir: filepath.Join(root, "run"), Socket: filepath.Join(root, "cri.sock"),
		InstanceID: hex.EncodeToString(id[:]), PodCIDRs: []string{networkOf(id)},
		Monitor: monitor,
	}}
	for _, c := range change {
		c(&f.cfg)
	}
	t.Cleanup(f.purge)
	f.start()
	archive, err := buildImage()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.server.images.Import(t.Context(), bytes.NewReader(archive), image.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	return f
}

// freeInstance makes up an instance whose network no other has, as far as one can see.
func freeInstance(t testing.TB) (id [4]byte) {
	t.Helper()
	for range 100 {
		rand.Read(id[:])
		network := netip.MustParsePrefix(networkOf(id))
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(addresses, func(a net.Addr) bool {
			other, err := netip.ParsePrefix(a.String())
			return err == nil && network.Overlaps(other)
		}) {
			return id
		}
	}
	t.Fatal("no free network in 198.18.0.0/15: remove the bridges of tests that were killed")
	return id
}

func networkOf(id [4]byte) string { return fmt.Sprintf("198.%d.%d.0/24", 18+id[0]%2, id[1]) }

// start runs a server on the fixture's directories.
func (f *fixture) start() {
	f.Helper()
	server, err := New(f.Context(), f.cfg)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	select {
	case <-server.Ready():
	case err := <-done:
		cancel()
		f.Fatal(err)
	}
	if f.conn, err = grpc.NewClient("unix://"+f.cfg.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20))); err != nil {
		f.Fatal(err)
	}
	f.server, f.RuntimeServiceClient, f.images = server, runtimev1.NewRuntimeServiceClient(f.conn), runtimev1.NewImageServiceClient(f.conn)
	f.stop = func() {
		f.conn.Close()
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
		f.stop = nil
	}
}

func (f *fixture) restart() {
	f.Helper()
	f.stop()
	f.start()
}

// purge takes everything down and looks for what is left.
func (f *fixture) purge() {
	if f.stop != nil {
		f.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := Purge(ctx, f.cfg); err != nil {
		f.Errorf("purge: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		f.Error(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, f.cfg.RootDir) || strings.Contains(line, f.cfg.RunDir) {
			f.Errorf("a mount is left: %s", line)
		}
	}
	for _, hierarchy := range []string{"", "/*"} { // of v2, and each of v1
		if left, _ := filepath.Glob("/sys/fs/cgroup" + hierarchy + "/mayfly-" + f.cfg.InstanceID + "*"); len(left) > 0 {
			f.Errorf("cgroups are left: %v", left)
		}
	}
	if links, err := os.ReadDir("/sys/class/net/mf-" + f.cfg.InstanceID[:6]); err == nil {
		f.Errorf("the bridge is left: %v", links)
	}
}

// pod runs a sandbox.
func (f *fixture) pod(name string, change ...func(*runtimev1.PodSandboxConfig)) (string, *runtimev1.PodSandboxConfig) {
	f.Helper()
	config := &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: name, Namespace: "default", Uid: "uid-" + name},
		Hostname: name, LogDirectory: filepath.Join(f.logs, name), Labels: map[string]string{"pod": name},
		Linux: &runtimev1.LinuxPodSandboxConfig{SecurityContext: &runtimev1.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER},
		}},
	}
	for _, c := range change {
		c(config)
	}
	answer, err := f.RunPodSandbox(f.Context(), &runtimev1.RunPodSandboxRequest{Config: config})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetPodSandboxId(), config
}

func shell(script string) func(*runtimev1.ContainerConfig) {
	return func(c *runtimev1.ContainerConfig) { c.Command, c.Args = []string{"sh", "-c"}, []string{script} }
}

// sleeper is a container of busybox that sleeps.
func sleeper(name string, change ...func(*runtimev1.ContainerConfig)) *runtimev1.ContainerConfig {
	c := &runtimev1.ContainerConfig{
		Metadata: &runtimev1.ContainerMetadata{Name: name}, Image: &runtimev1.ImageSpec{Image: busybox},
		Command: []string{"sleep", "1000"}, LogPath: name + ".log", Labels: map[string]string{"container": name},
		Linux: &runtimev1.LinuxContainerConfig{SecurityContext: &runtimev1.LinuxContainerSecurityContext{
			NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER},
		}},
	}
	for _, ch := range change {
		ch(c)
	}
	return c
}

func (f *fixture) create(pod string, config *runtimev1.PodSandboxConfig, name string, change ...func(*runtimev1.ContainerConfig)) string {
	f.Helper()
	answer, err := f.CreateContainer(f.Context(), &runtimev1.CreateContainerRequest{PodSandboxId: pod, Config: sleeper(name, change...), SandboxConfig: config})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetContainerId()
}

func (f *fixture) run(pod string, config *runtimev1.PodSandboxConfig, name string, change ...func(*runtimev1.ContainerConfig)) string {
	f.Helper()
	id := f.create(pod, config, name, change...)
	if _, err := f.StartContainer(f.Context(), &runtimev1.StartContainerRequest{ContainerId: id}); err != nil {
		f.Fatal(err)
	}
	return id
}

func (f *fixture) status(id string) *runtimev1.ContainerStatus {
	f.Helper()
	answer, err := f.ContainerStatus(f.Context(), &runtimev1.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetStatus()
}

// exited waits for a container's end.
func (f *fixture) exited(id string) *runtimev1.ContainerStatus {
	f.Helper()
	c, err := f.server.containers.Get(id)
	if err != nil {
		f.Fatal(err)
	}
	select {
	case <-c.Exited():
	case <-time.After(20 * time.Second):
		f.Fatalf("container %s does not end", id)
	}
	return f.status(id)
}

// exec runs a command and returns what it wrote.
func (f *fixture) exec(id string, command ...string) string {
	f.Helper()
	answer, err := f.ExecSync(f.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: 20})
	if err != nil {
		f.Fatalf("exec %q: %v", command, err)
	}
	if answer.GetExitCode() != 0 {
		f.Errorf("exec %q: exit code %d, stderr %q", command, answer.GetExitCode(), answer.GetStderr())
	}
	return strings.TrimSpace(string(answer.GetStdout()))
}

// settled waits for what the runtime and the kernel do behind an answer.
func (f *fixture) settled(look func() []string) {
	f.Helper()
	wrong := look()
	for deadline := time.Now().Add(20 * time.Second); len(wrong) > 0 && time.Now().Before(deadline); wrong = look() {
		time.Sleep(5 * time.Millisecond)
	}
	if len(wrong) > 0 {
		f.Errorf("this stays as it is:\n%s", strings.Join(wrong, "\n"))
	}
}

// until waits for something to be so.
func (f *fixture) until(what string, is func() bool) {
	f.Helper()
	f.settled(func() []string {
		if is() {
			return nil
		}
		return []string{"it is not so that " + what}
	})
}

// touch makes a file by which a container is told to end, maybe before the command that makes it.
func (f *fixture) touch(id, path string) {
	f.Helper()
	if _, err := f.ExecSync(f.Context(), &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: []string{"touch", path}, Timeout: 20}); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) log(pod, name string) string {
	f.Helper()
	content, err := os.ReadFile(filepath.Join(f.logs, pod, name+".log"))
	if err != nil {
		f.Fatal(err)
	}
	return string(content)
}
