// Package backup is `mayfly backup`: all that the API holds, in one file, while Mayfly is up.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mayfly-run/mayfly/internal/config"
)

// New returns the command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	dataDir := config.Default().DataDir
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that the API holds to a file",
		Long: "Write all that the API holds, as of one moment, to a file that `mayfly restore` and etcd's own tools read.\n" +
			"Mayfly must be up, and goes on serving. Images, volumes and the keys in DATA-DIR/pki are not in it; Secrets are.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := run(cmd.Context(), dataDir, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(streams.Out, "Wrote %s (%d bytes)\n", args[0], size)
			return err
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", dataDir, "data directory of the instance")
	return cmd
}

func run(ctx context.Context, dataDir, file string) (int64, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return 0, fmt.Errorf("--data-dir: %w", err)
	}
	instance, err := config.Load(dataDir)
	if err != nil {
		return 0, err
	}
	body, err := snapshot(ctx, instance)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return save(file, body)
}

// snapshot asks the instance that is up.
func snapshot(ctx context.Context, instance config.Instance) (io.ReadCloser, error) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", instance.BackupSocket())
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://mayfly/snapshot", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open %s: permission denied; run the command as root", instance.BackupSocket())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("mayfly is not up with --data-dir %s: start it, and back up then", instance.DataDir)
	case err != nil:
		return nil, fmt.Errorf("ask mayfly for a snapshot: %w", err)
	case response.StatusCode != http.StatusOK:
		defer response.Body.Close()
		reason, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, errors.Join(errors.New(strings.TrimSpace(string(reason))), err)
	}
	return response.Body, nil
}

// save writes the file whole or not at all, for its owner alone, and to the disk.
func save(file string, body io.Reader) (int64, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return 0, fmt.Errorf("create backup: %w", err)
	}
	size, err := io.Copy(f, body)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("write backup: %w", err), os.Remove(f.Name()))
	}
	return size, nil
}
