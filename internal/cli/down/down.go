// Package down is `mayfly down`: stop every Pod and leave nothing behind.
package down

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/daemon"
	"github.com/mayfly-run/mayfly/internal/logging"
)

// New returns the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	var purge bool
	var runDir string
	timeout := 2 * time.Minute
	dataDir := config.Default().DataDir
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop Mayfly and every Pod of it, and remove what is mounted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return run(ctx, streams, dataDir, runDir, purge)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dataDir, "data-dir", dataDir, "data directory of the instance")
	f.StringVar(&runDir, "run-dir", "", "run directory of the instance (default: the one that it was up with)")
	f.BoolVar(&purge, "purge", false, "remove all data too: Pods, images, logs, keys")
	f.DurationVar(&timeout, "timeout", timeout, "how long to wait for all of it")
	return cmd
}

func run(ctx context.Context, streams genericiooptions.IOStreams, dataDir, runDir string, purge bool) error {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	instance, err := config.Load(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := fmt.Fprintf(streams.Out, "Nothing to do: %v\n", err)
		return err
	}
	if err != nil {
		return err
	}
	if runDir != "" {
		instance.RunDir = runDir
	}
	if err := logging.Setup(logging.Config{Level: "warn", Format: "text", Output: streams.ErrOut}); err != nil {
		return err
	}
	if err := daemon.Down(ctx, instance, purge); err != nil {
		return err
	}
	what := "Every Pod of Mayfly is stopped; the data is kept in " + instance.DataDir + "."
	if purge {
		what = "Every Pod of Mayfly is stopped, and all data is removed."
	}
	_, err = fmt.Fprintln(streams.Out, what)
	return err
}
