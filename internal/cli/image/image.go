// Package image is `mayfly image`: bring images in, list them, take them out.
//
// While Mayfly is up, the commands speak to it by its image socket; while it is not, they open the store of the data
// directory themselves. Each verb sees a store and not which of the two it is.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/image/engine"
	"github.com/mayfly-run/mayfly/internal/logging"
)

// store is what the verbs need, of a running Mayfly or of the disk.
type store interface {
	Import(ctx context.Context, r io.Reader, o image.ImportOptions) ([]image.Imported, error)
	Pull(ctx context.Context, ref string, c image.Credentials, progress func(image.Progress)) (string, error)
	List(ctx context.Context) ([]image.Summary, error)
	Untag(ctx context.Context, ref string) (image.Removed, error)
	Export(ctx context.Context, w io.Writer, refs ...string) error
}

// options are those of every verb.
type options struct {
	streams genericiooptions.IOStreams
	dataDir string
	runDir  string
}

// New returns the command with its verbs.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams}
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Import, pull, list, remove and export images",
		Long: "Import, pull, list, remove and export images, of a running Mayfly or of one that is down.\n" +
			"Docker's own clients work as well: docker -H unix:///run/mayfly/image.sock image ls",
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.dataDir, "data-dir", config.Default().DataDir, "data directory of the instance")
	f.StringVar(&o.runDir, "run-dir", "", "run directory of the instance (default: the one that it was up with)")
	cmd.AddCommand(newImport(o), newPull(o), newList(o), newRemove(o), newExport(o))
	return cmd
}

// with opens the store for work and closes it after.
func (o *options) with(ctx context.Context, work func(store) error) error {
	s, closeStore, err := o.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(s), closeStore())
}

func (o *options) open(ctx context.Context) (store, func() error, error) {
	if err := logging.Setup(logging.Config{Level: "error", Format: "text", Output: o.streams.ErrOut}); err != nil {
		return nil, nil, err
	}
	instance, err := o.instance()
	if err != nil {
		return nil, nil, err
	}
	client := engine.NewClient(instance.ImageSocket())
	err = client.Ping(ctx)
	switch {
	case err == nil:
		return client, client.Close, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("open %s: permission denied; run the command as root", instance.ImageSocket())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return openLocal(ctx, instance)
	}
	return nil, nil, fmt.Errorf("speak to mayfly at %s: %w", instance.ImageSocket(), err)
}

// instance finds the Mayfly that the flags mean. One that was never up is known by its directories alone.
func (o *options) instance() (config.Instance, error) {
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return config.Instance{}, fmt.Errorf("--data-dir: %w", err)
	}
	instance, err := config.Load(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return instance, err
	}
	if o.runDir != "" {
		if instance.RunDir, err = filepath.Abs(o.runDir); err != nil {
			return instance, fmt.Errorf("--run-dir: %w", err)
		}
	}
	return instance, nil
}

// openLocal opens the store on disk. It refuses a directory that no Mayfly has been up with, which would otherwise
// fill with images that none will find.
func openLocal(ctx context.Context, instance config.Instance) (store, func() error, error) {
	if os.Geteuid() != 0 {
		return nil, nil, fmt.Errorf("mayfly is not up, and only root may open its images in %s; run the command as root", instance.DataDir)
	}
	if _, err := config.Load(instance.DataDir); err != nil {
		return nil, nil, fmt.Errorf("%w; start it with `mayfly up --data-dir %s`, or name the right one with --data-dir", err, instance.DataDir)
	}
	s, err := image.New(ctx, image.Config{
		RootDir:           image.Root(filepath.Join(instance.DataDir, "runtime")),
		RegistryConfigDir: filepath.Join(instance.DataDir, "certs.d"),
	})
	if errors.Is(err, image.ErrLocked) {
		return nil, nil, fmt.Errorf("%w, but nobody answers at %s; if mayfly is up with another --run-dir, name that", err, instance.ImageSocket())
	}
	if err != nil {
		return nil, nil, err
	}
	return local{s}, s.Close, nil
}

// local gives image.Store the shape of the client.
type local struct{ *image.Store }

func (l local) List(context.Context) ([]image.Summary, error) { return l.Store.List(), nil }
