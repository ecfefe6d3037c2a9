// Package log knows where containers' logs go. Their lines are written by the monitor, which outlives this process;
// the format is the CRI's (timestamp, stream, P or F, text) and the file's place is the client's choice.
package log

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
)

// Path joins the sandbox's log directory and the container's log path, and makes the directories on the way. It is
// empty when the client wants no log. A path that leads out of the directory is refused (InvalidArgument); that the
// file is no symbolic link is checked by the monitor when it opens it.
func Path(directory, path string) (string, error) {
	if directory == "" || path == "" {
		return "", nil
	}
	if !filepath.IsAbs(directory) {
		return "", fmt.Errorf("log directory %q is not absolute: %w", directory, errdefs.ErrInvalidArgument)
	}
	if !filepath.IsLocal(path) {
		return "", fmt.Errorf("log path %q leads out of the log directory: %w", path, errdefs.ErrInvalidArgument)
	}
	full := filepath.Join(directory, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return "", fmt.Errorf("make log directory: %w", err)
	}
	return full, nil
}
