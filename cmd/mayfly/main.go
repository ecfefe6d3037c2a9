// Command mayfly runs Pods and their ephemeral containers on one machine, and debugs Pods on any cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
