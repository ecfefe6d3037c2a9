// Package cli is the command line of Mayfly: one package per verb, put together here.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/cli/backup"
	"github.com/mayfly-run/mayfly/internal/cli/doctor"
	"github.com/mayfly-run/mayfly/internal/cli/down"
	"github.com/mayfly-run/mayfly/internal/cli/image"
	"github.com/mayfly-run/mayfly/internal/cli/kubectl"
	"github.com/mayfly-run/mayfly/internal/cli/program"
	"github.com/mayfly-run/mayfly/internal/cli/restore"
	"github.com/mayfly-run/mayfly/internal/cli/up"
	"github.com/mayfly-run/mayfly/internal/cli/version"
)

// Run carries out the command of args, whose first is the program's name, and returns the exit code.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := New(genericiooptions.IOStreams{In: in, Out: out, ErrOut: errOut})
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(errOut, "mayfly: %v\n", err)
	var exit interface{ ExitStatus() int }
	if errors.As(err, &exit) {
		return exit.ExitStatus()
	}
	return 1
}

// New returns the root command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	root := &cobra.Command{
		Use:           "mayfly",
		Short:         "Pods and ephemeral containers on one machine, without a cluster",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.AddCommand(
		up.New(streams),
		down.New(streams),
		backup.New(streams),
		restore.New(streams),
		doctor.New(streams),
		image.New(streams),
		kubectl.New(streams),
		program.New(streams),
		version.New(streams),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	})
	for _, cmd := range root.Commands() {
		explainArgs(cmd)
	}
	return root
}

// explainArgs lets errors of too few or too many arguments say which are wanted.
func explainArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		explainArgs(sub)
	}
}
