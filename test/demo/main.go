// Command demo shows ephemeral containers happen: it brings up a throw-away Mayfly in temporary directories, makes and
// imports its images from programs on this machine, and runs the walk of the concept page with real kubectl. Every
// command is shown with its real output and a line that says what to look at. `make demo` builds what it needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mayfly-run/mayfly/test/harness"
	"github.com/mayfly-run/mayfly/test/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	tools, err := harness.Find()
	if err != nil {
		return err
	}
	instance, err := harness.New(tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	d := &demo{instance: instance, tools: tools, out: os.Stdout, dir: filepath.Join(instance.Dir, "demo")}
	if err := d.prepare(); err != nil {
		return err
	}
	start := time.Now()
	failed := 0
	for _, s := range steps() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !d.play(ctx, s) {
			failed++
			if s.vital {
				break
			}
		}
	}
	d.table(time.Since(start))
	if failed > 0 {
		fmt.Fprintf(os.Stdout, "\nThe daemon's output:\n%s", instance.Output())
		return fmt.Errorf("%d steps failed", failed)
	}
	return nil
}

// prepare writes the files of the walk and the images to a directory of its own.
func (d *demo) prepare() error {
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.Symlink(d.tools.Mayfly, filepath.Join(d.dir, "mayfly")); err != nil {
		return err
	}
	if err := os.Symlink(d.tools.App, filepath.Join(d.dir, "app")); err != nil {
		return err
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s kubectl \"$@\"\n", d.tools.Mayfly)
	if err := os.WriteFile(filepath.Join(d.dir, "kubectl"), []byte(wrapper), 0o755); err != nil {
		return err
	}
	_, err := image.SaveAll(d.dir, d.tools.Programs())
	return err
}
