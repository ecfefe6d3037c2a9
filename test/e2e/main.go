// Command e2e runs upstream's end-to-end suite, k8s.io/kubernetes' test/e2e, on a throw-away Mayfly. hack/e2e.sh builds
// what it needs and starts it.
//
// No registry can be reached, so a registry on loopback stands for the suite's, with images made of programs on this
// machine. absent.txt names what the suite is not asked about, since Mayfly does not have it, expected.txt the specs that
// fail, and skip.txt those that the suite leaves out by itself, each with its reason; anything else that does not pass is
// an error, and so is a listed failure that passes.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/suite"
)

type options struct {
	programs, lists     string
	focus, label, flags string
}

func main() {
	var o options
	flag.StringVar(&o.programs, "programs", "bin/e2e", "directory of the built suite, kubectl and the programs of its images")
	flag.StringVar(&o.lists, "lists", "test/e2e", "directory of absent.txt, skip.txt and expected.txt")
	flag.StringVar(&o.focus, "focus", "", "run the specs that match this regular expression alone, and judge nothing else")
	flag.StringVar(&o.label, "label-filter", "!Disruptive && !Flaky && !Alpha && !Deprecated", "ginkgo's filter by labels")
	flag.StringVar(&o.flags, "flags", "", "more flags for the suite, separated by spaces")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	var lists [3]suite.List
	for i, name := range []string{"absent.txt", "skip.txt", "expected.txt"} {
		if lists[i], err = suite.ReadList(filepath.Join(o.lists, name)); err != nil {
			return err
		}
	}
	tools, err := harness.Find()
	if err != nil {
		return err
	}
	built, err := images(tools.Busybox, o.programs)
	if err != nil {
		return err
	}
	registry, err := suite.Serve(built)
	if err != nil {
		return err
	}
	defer registry.Close()
	i, err := harness.New(tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	if err := suite.Redirect(filepath.Join(i.DataDir, "certs.d"), registry.URL, "registry.k8s.io"); err != nil {
		return err
	}
	if err := i.Up(ctx); err != nil {
		return err
	}
	report := filepath.Join(i.Dir, "report.json")
	if err := runSuite(ctx, i, o, absent(lists[0]), report); err != nil {
		return err
	}
	results, err := suite.ReadReport(report)
	if err != nil {
		return err
	}
	results = slices.DeleteFunc(results, func(r suite.Result) bool { return r.State == "skipped" && r.Message == "" }) // not asked about
	return suite.Judge("e2e", results, lists[1], lists[2], o.focus == "")
}

// absent is a regular expression of the parts of names that a list has.
func absent(l suite.List) string {
	parts := slices.Sorted(maps.Keys(l))
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return strings.Join(parts, "|")
}

// runSuite takes failed specs for no error: the report tells.
func runSuite(ctx context.Context, i *harness.Instance, o options, skip, report string) error {
	programs, err := filepath.Abs(o.programs)
	if err != nil {
		return err
	}
	cmd := i.Command(ctx, filepath.Join(programs, "e2e.test"), "-kubeconfig="+i.Kubeconfig, "-kubectl-path="+filepath.Join(programs, "kubectl"),
		"-provider=skeleton", "-node-os-distro=debian", "-container-runtime-endpoint=unix://"+filepath.Join(i.RunDir, "cri.sock"), "-dump-logs-on-failure=false",
		"-ginkgo.json-report="+report, "-ginkgo.no-color", "-ginkgo.timeout=6h", "-test.timeout=0", "-ginkgo.skip="+skip, "-ginkgo.label-filter="+o.label)
	cmd.Args = append(cmd.Args, strings.Fields(o.flags)...)
	if o.focus != "" {
		cmd.Args = append(cmd.Args, "-ginkgo.focus="+o.focus)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil
	}
	return cmp.Or(ctx.Err(), err)
}
