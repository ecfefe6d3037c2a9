// Command e2e runs upstream's end-to-end suite, k8s.io/kubernetes' test/e2e, on a throw-away Mayfly. hack/e2e.sh builds
// what it needs and starts it.
//
// No registry can be reached, so a registry on loopback stands for the suite's, with images made of programs on this
// machine. absent.txt names what the suite is not asked about, since Mayfly does not have it, expected.txt the specs that
// fail, and skip.txt those that the suite leaves out by itself, each with its reason; anything else that does not pass is
// an error, and so is a listed failure that passes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/suite"
)

type options struct {
	programs, lists string
	focus, label    string
	procs           int
}

func main() {
	var o options
	flag.StringVar(&o.programs, "programs", "bin/e2e", "directory of the built suite, kubectl and the programs of its images")
	flag.StringVar(&o.lists, "lists", "test/e2e", "directory of absent.txt, skip.txt, expected.txt and the kubectl that specs call")
	flag.StringVar(&o.focus, "focus", "", "run the specs that match this regular expression alone, and judge nothing else")
	flag.StringVar(&o.label, "label-filter", "!Disruptive && !Flaky && !Alpha && !Deprecated", "ginkgo's filter by labels")
	flag.IntVar(&o.procs, "procs", 12, "how many specs run at once")
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
	i.Flags = append(i.Flags, "--listen", strings.Replace(i.Listen, "127.0.0.1", "0.0.0.0", 1)) // for those in Pods as well
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

func runSuite(ctx context.Context, i *harness.Instance, o options, skip, report string) error {
	programs, err := filepath.Abs(o.programs)
	if err != nil {
		return err
	}
	wrapper, err := filepath.Abs(filepath.Join(o.lists, "kubectl"))
	if err != nil {
		return err
	}
	cmd := i.Command(ctx, filepath.Join(programs, "ginkgo"), "--json-report="+filepath.Base(report), "--output-dir="+filepath.Dir(report), "--no-color", "--timeout=6h",
		"--procs="+strconv.Itoa(o.procs), "--skip="+skip, "--label-filter="+o.label, "--focus="+o.focus, filepath.Join(programs, "e2e.test"), "--",
		"-kubeconfig="+i.Kubeconfig, "-kubectl-path="+wrapper, "-provider=skeleton", "-node-os-distro=debian", "-dump-logs-on-failure=false")
	cmd.Env = append(cmd.Env, "KUBECTL="+filepath.Join(programs, "kubectl"), "GOPROXY=off") // ginkgo asks Go for its own version
	return suite.Run(ctx, cmd)
}
