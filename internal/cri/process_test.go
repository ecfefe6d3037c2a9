package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/test/harness"
)

// runtimeConfig names the file that makes this program a runtime, to be killed, in place of the tests. The monitor is
// beside it: as text in the file it would take longer to read than everything else takes.
const (
	runtimeConfig  = "MAYFLY_TEST_RUNTIME_CONFIG"
	runtimeMonitor = "podmonitor"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(runtimeConfig); path != "" {
		fmt.Fprintln(os.Stderr, serveRuntime(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveRuntime serves until it is killed.
func serveRuntime(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var cfg Config
	if err := json.Unmarshal(content, &cfg); err != nil {
		return err
	}
	if cfg.Monitor, err = os.ReadFile(filepath.Join(filepath.Dir(path), runtimeMonitor)); err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	logrus.SetLevel(logrus.ErrorLevel)
	server, err := New(context.Background(), cfg)
	if err != nil {
		return err
	}
	return server.Run(context.Background())
}

// process is a runtime in a process of its own, on a fixture's directories.
type process struct {
	runtimev1.RuntimeServiceClient
	cmd    *exec.Cmd
	exited <-chan struct{}
	conn   *grpc.ClientConn
}

// spawn starts a runtime; the fixture's own must not run.
func (f *fixture) spawn() *process {
	f.Helper()
	path := f.describe()
	os.Remove(f.cfg.Socket) // so that nobody takes the dead one's for the new one's
	quick := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.2, MaxDelay: 50 * time.Millisecond}, MinConnectTimeout: time.Second}
	p := &process{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = append(os.Environ(), runtimeConfig+"="+path)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.exited, err = harness.Launch(p.cmd); err != nil {
		f.Fatal(err)
	}
	if p.conn, err = grpc.NewClient("unix://"+f.cfg.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(quick)); err != nil {
		f.Fatal(err)
	}
	p.RuntimeServiceClient = runtimev1.NewRuntimeServiceClient(p.conn)
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	if _, err := p.Version(ctx, &runtimev1.VersionRequest{}, grpc.WaitForReady(true)); err != nil {
		p.kill()
		f.Fatal(err)
	}
	return p
}

// describe writes down what a runtime on the fixture's directories needs to know.
func (f *fixture) describe() string {
	f.Helper()
	path := filepath.Join(filepath.Dir(f.cfg.Socket), "config.json")
	if exists(path) {
		return path
	}
	cfg := f.cfg
	cfg.Monitor = nil
	content, err := json.Marshal(cfg)
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(path), runtimeMonitor), f.cfg.Monitor, 0o600)
	}
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		f.Fatal(err)
	}
	return path
}

// kill leaves the runtime no time for anything.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
	_ = p.conn.Close()
}
