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
// empty when the client wants no log. A path that leads out of the directory, by links too, is refused (InvalidArgument).
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
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", fmt.Errorf("make log directory: %w", err)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return "", fmt.Errorf("open log directory: %w", err)
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make directory of log %q: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	return filepath.Join(directory, path), nil
}

// Real is where a log that Path has returned is, for the monitor, which follows no link at all: who may write to some
// Pod's logs must not lead others' elsewhere (GO-2026-5622). Where the directory of all Pods' logs is, links may say.
func Real(directory, full string) (string, error) {
	if full == "" {
		return "", nil
	}
	below, err := filepath.Rel(directory, full)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(directory))
	if err != nil {
		return "", fmt.Errorf("resolve log directory: %w", err)
	}
	return filepath.Join(parent, filepath.Base(directory), below), nil
}
