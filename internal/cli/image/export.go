package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newExport(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "export REF... -o FILE|-",
		Short: "Write images to an archive",
		Long:  "Write images to a tar file that is an OCI image layout and a docker-archive at once.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(s store) error { return o.export(cmd.Context(), s, output, args) })
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "file to write; - is standard output")
	return cmd
}

func (o *options) export(ctx context.Context, s store, output string, refs []string) error {
	if output != "-" {
		return writeFile(output, func(w io.Writer) error { return s.Export(ctx, w, refs...) })
	}
	if f, ok := o.streams.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("a terminal cannot show an archive; name a file with -o, or lead the output elsewhere")
	}
	return s.Export(ctx, o.streams.Out, refs...)
}

// writeFile makes the file whole or not at all. What is no file, such as a pipe, is written to as it is.
func writeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("open archive: %w", err)
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
