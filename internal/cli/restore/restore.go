// Package restore is `mayfly restore`: what `mayfly backup` wrote becomes the data of a Mayfly that has none.
package restore

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/daemon"
)

// New returns the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	instance := config.Default()
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make what `mayfly backup` wrote the data of the API",
		Long: "Make what `mayfly backup` wrote the data of the API. Mayfly must not be up, and must have no data of the API yet:\n" +
			"a new data directory, or one whose directory apiserver was moved away, which keeps images and keys.\n" +
			"A file that is damaged is refused by its checksum.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if instance.DataDir, err = filepath.Abs(instance.DataDir); err != nil {
				return fmt.Errorf("--data-dir: %w", err)
			}
			if err := daemon.Restore(instance, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(streams.Out, "Restored %s into %s. Next: mayfly up\n", args[0], instance.DataDir)
			return err
		},
	}
	cmd.Flags().StringVar(&instance.DataDir, "data-dir", instance.DataDir, "data directory of the instance")
	return cmd
}
