// Command critest runs the CRI's validation suite, sigs.k8s.io/cri-tools' critest, on Mayfly's runtime alone: no API
// server, no node agent. hack/critest.sh builds what it needs and starts it.
//
// No registry can be reached, so a registry on loopback stands for the suite's, with images made of programs on this
// machine. skip.txt names the specs that the suite leaves out by itself, expected.txt those that fail, each with its reason;
// anything else that does not pass is an error, and so is a listed failure that passes.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mayfly-run/mayfly/internal/cri"
	"github.com/mayfly-run/mayfly/internal/launch/monitor/binary"
	"github.com/mayfly-run/mayfly/test/suite"
)

// handlerName is the runtime handler of the OCI runtime that is tested.
const handlerName = "tested"

type options struct {
	suite, busybox, guest string
	skip, expected        string
	focus, handler        string
}

func main() {
	var o options
	flag.StringVar(&o.suite, "suite", "bin/critest", "the built critest")
	flag.StringVar(&o.busybox, "busybox", "bin/busybox-shared", "Debian's busybox, not busybox-static")
	flag.StringVar(&o.guest, "guest", "bin/critest-guest", "the built test/critest/guest")
	flag.StringVar(&o.skip, "skip", "test/critest/skip.txt", "specs that the suite leaves out by itself")
	flag.StringVar(&o.expected, "expected", "test/critest/expected.txt", "specs that fail")
	flag.StringVar(&o.focus, "focus", "", "run the specs that match this regular expression alone, and judge nothing else")
	flag.StringVar(&o.handler, "runtime-handler", "", "run everything by an OCI runtime, the path of runc say")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "critest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	skip, err := suite.ReadList(o.skip)
	if err != nil {
		return err
	}
	expected, err := suite.ReadList(o.expected)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "critest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	built, err := images(o.busybox, o.guest)
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "critest")
	if err := adopt(o.suite, program, built[digested]); err != nil {
		return err
	}
	o.suite = program
	registry, err := suite.Serve(built)
	if err != nil {
		return err
	}
	defer registry.Close()
	if err := suite.Redirect(filepath.Join(dir, "certs.d"), registry.URL, "registry.k8s.io", "gcr.io", "k8s.gcr.io"); err != nil {
		return err
	}
	endpoint, plugins, halt, err := startRuntime(dir, o.handler)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, halt()) }()
	report := filepath.Join(dir, "report.json")
	if err := runSuite(ctx, o, endpoint, plugins, report); err != nil {
		return err
	}
	results, err := suite.ReadReport(report)
	if err != nil {
		return err
	}
	return suite.Judge("critest", results, skip, expected, o.focus == "")
}

// startRuntime starts a runtime below dir, which answers at endpoint and has NRI at plugins; halt stops it and removes all
// that it had made.
func startRuntime(dir, handler string) (endpoint, plugins string, halt func() error, _ error) {
	var id [4]byte
	rand.Read(id[:])
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	cfg := cri.Config{
		RootDir: filepath.Join(dir, "root"), RunDir: filepath.Join(dir, "run"), Socket: filepath.Join(dir, "cri.sock"),
		InstanceID: hex.EncodeToString(id[:]), PodCIDRs: []string{fmt.Sprintf("198.%d.%d.0/24", 18+id[0]%2, id[1])},
		RegistryConfigDir: filepath.Join(dir, "certs.d"), Monitor: binary.Executable(), NRI: true,
	}
	if handler != "" {
		cfg.RuntimeHandlers = map[string]string{handlerName: handler}
	}
	runtime, err := cri.New(context.Background(), cfg)
	if err != nil {
		return "", "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runtime.Run(ctx) }()
	halt = func() error {
		cancel()
		err := <-done
		purgeCtx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		return errors.Join(err, cri.Purge(purgeCtx, cfg))
	}
	select {
	case <-runtime.Ready():
		return "unix://" + cfg.Socket, filepath.Join(cfg.RunDir, "nri.sock"), halt, nil
	case err := <-done:
		done <- err
		return "", "", nil, errors.Join(halt())
	}
}

func runSuite(ctx context.Context, o options, endpoint, plugins, report string) error {
	cmd := exec.CommandContext(ctx, o.suite, "-runtime-endpoint="+endpoint, "-image-endpoint="+endpoint, "-nri-socket="+plugins,
		"-ginkgo.json-report="+report, "-ginkgo.no-color", "-test.timeout=30m")
	if o.handler != "" {
		cmd.Args = append(cmd.Args, "-runtime-handler="+handlerName)
	}
	if o.focus != "" {
		cmd.Args = append(cmd.Args, "-ginkgo.focus="+o.focus)
	}
	return suite.Run(ctx, cmd)
}
