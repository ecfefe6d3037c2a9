package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

func newImport(o *options) *cobra.Command {
	var tag string
	cmd := &cobra.Command{
		Use:   "import FILE|DIR|-",
		Short: "Store the images of an archive",
		Long: "Store the images of an archive: a docker-archive as `docker save` writes it, or an OCI image layout, each as\n" +
			"a tar file (plain, gzip or zstd), as a directory, or on standard input.",
		Example: "  mayfly image import busybox.tar\n  docker save app | mayfly image import -\n  mayfly image import ./oci-layout --tag example.com/app:v1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.importArchive(cmd.Context(), args[0], tag)
		},
	}
	cmd.Flags().StringVar(&tag, "tag", "", "name for the image, in place of the archive's own")
	return cmd
}

// importArchive opens the archive before the store, so that a wrong path is the first thing said.
func (o *options) importArchive(ctx context.Context, path, tag string) error {
	archive, err := o.archive(path)
	if err != nil {
		return err
	}
	defer archive.Close()
	return o.with(ctx, func(s store) error {
		list, err := s.Import(ctx, archive, image.ImportOptions{Tag: tag})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return o.printImported(list)
	})
}

func (o *options) archive(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(o.streams.In), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open archive: %w", err), f.Close())
	}
	if info.IsDir() {
		return image.TarDir(path), f.Close()
	}
	return f, nil
}

func (o *options) printImported(list []image.Imported) error {
	for _, i := range list {
		if len(i.Names) == 0 {
			if _, err := fmt.Fprintf(o.streams.Out, "Imported %s, without a name; import it again with --tag to give it one\n", i.ID); err != nil {
				return err
			}
		}
		for _, name := range i.Names {
			if _, err := fmt.Fprintf(o.streams.Out, "Imported %s\n", name); err != nil {
				return err
			}
		}
	}
	return nil
}
