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
	"syscall"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/image"
)

func main() {
	var b bench
	strict := flag.Bool("strict", false, "fail when a target is missed")
	flag.IntVar(&b.runs, "runs", 30, "how often each thing is measured")
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
	for _, part := range []func(context.Context) error{b.binary, b.starts, b.living, b.others} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
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
	for _, part := range []func(context.Context, *client) error{b.ephemeral, b.pods, b.commands, b.throughput, b.many} {
		if err := part(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
