// Command bench measures the speed and memory of Mayfly on this machine, beside the targets: how long an ephemeral
// container, a Pod, a command and a start take as a client sees them, and how much memory all of it needs. It prints a
// Markdown table; with -strict a missed target is a failure. `make bench` builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/image"
)

func main() {
	var b bench
	strict := flag.Bool("strict", false, "fail when a target is missed")
	flag.IntVar(&b.runs, "runs", 30, "how often each thing is measured")
	flag.Func("only", "measure the parts alone whose names match this `pattern`: starts, Pods, exec…", func(pattern string) (err error) {
		b.only, err = regexp.Compile(pattern)
		return err
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	b.print(os.Stdout)
	if err == nil && *strict && b.missed() > 0 {
		err = fmt.Errorf("%d targets missed", b.missed())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of all measurements.
type bench struct {
	runs     int
	only     *regexp.Regexp // parts to measure; all if nil
	tools    harness.Tools
	archives image.Archives
	rows     []row
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.tools, err = harness.Find(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mayfly-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if b.archives, err = image.SaveAll(dir, b.tools.Programs()); err != nil {
		return err
	}
	return b.each(ctx, part{"binary", b.binary}, part{"starts", b.starts}, part{"the API", b.api}, part{whole, b.living}, part{"a crowd", b.crowd}, part{"other runtimes", b.others})
}

// whole is the part whose own parts are looked at one by one when not everything is measured.
const whole = "running instance"

// part is something to measure, which can fail without the others.
type part struct {
	name    string
	measure func(context.Context) error
}

// each measures every part, whatever becomes of the others. A failure is a row of the table as well.
func (b *bench) each(ctx context.Context, parts ...part) error {
	var errs []error
	for _, p := range parts {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		if !b.wanted(p) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: measuring %s, load %s\n", p.name, load())
		before := b.failed()
		if err := b.inside(ctx, p); err != nil {
			if b.failed() == before { // no part of it has told yet
				b.fail(p.name, err)
			}
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) wanted(p part) bool {
	return b.only == nil || p.name == whole || b.only.MatchString(p.name)
}

// inside measures a part: all of it, unless it is the whole.
func (b *bench) inside(ctx context.Context, p part) error {
	if only := b.only; p.name != whole {
		b.only = nil
		defer func() { b.only = only }()
	}
	return p.measure(ctx)
}

// load is the machine's, of the last minute, without which no figure can be judged.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// binary measures the size of the program.
func (b *bench) binary(context.Context) error {
	info, err := os.Stat(b.tools.Mayfly)
	if err != nil {
		return err
	}
	b.single("binary, stripped", "MB", float64(info.Size())/1e6, atMost(115))
	return nil
}

// living measures everything that one running instance can tell.
func (b *bench) living(ctx context.Context) (err error) {
	instance, err := harness.Start(ctx, b.tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	if err := instance.Import(ctx, b.archives.All()...); err != nil {
		return err
	}
	c, err := connect(instance)
	if err != nil {
		return err
	}
	with := func(name string, measure func(context.Context, *client) error) part {
		return part{name, func(ctx context.Context) error { return measure(ctx, c) }}
	}
	err = b.each(ctx, with("ephemeral containers", b.ephemeral), with("Pods", b.pods), with("exec", b.commands), with("exec's output", b.throughput), with("the runtime", b.runtime), with("image pulls", b.pulls), with("many Pods", b.many))
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: the daemon's output:\n%s", instance.Output())
	}
	return err
}
