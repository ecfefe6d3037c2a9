package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// Serve answers on a unix socket, which root alone may open, until ctx ends.
func Serve(ctx context.Context, store *image.Store, socket string) error {
	l, err := listen(socket)
	if err != nil {
		return fmt.Errorf("listen on image socket: %w", err)
	}
	server := &http.Server{
		Handler:           Handler(store),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(l)
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if gone := os.Remove(socket); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// listen makes the socket in a directory that nobody else can enter and moves it into place once its mode is set, so
// that there is no moment in which others could connect.
func listen(socket string) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(socket), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	temporary := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: temporary})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, socket)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
