package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"
)

// runner executes CNI plugins, each in a process group of its own, so that one whose time is over ends with all that it
// has started. It is libcni's invoke.Exec.
type runner struct {
	version.PluginDecoder
	// lock is the path of a file that is locked while a plugin runs, or what it has started. Empty is none.
	lock string
}

// settle waits until no plugin runs any more that an earlier process started, which may have been killed meanwhile: it
// would do its work after that has been undone.
func (r *runner) settle(ctx context.Context) error {
	file, err := r.open()
	if err != nil {
		return err
	}
	alone := make(chan error, 1)
	go func() {
		alone <- unix.Flock(int(file.Fd()), unix.LOCK_EX)
		file.Close()
	}()
	select {
	case err = <-alone:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return err
}

func (r *runner) open() (*os.File, error) { return os.OpenFile(r.lock, os.O_CREATE|os.O_RDWR, 0o600) }

// share gives a plugin the lock to inherit; what it starts inherits it as well.
func (r *runner) share(cmd *exec.Cmd) (done func(), _ error) {
	if r.lock == "" {
		return func() {}, nil
	}
	file, err := r.open()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{file}
	return func() { file.Close() }, unix.Flock(int(file.Fd()), unix.LOCK_SH)
}

func (r *runner) FindInPath(plugin string, dirs []string) (string, error) {
	path, err := invoke.FindInPath(plugin, dirs)
	if err != nil {
		return "", fmt.Errorf("plugin %q is in none of %s: %w", plugin, strings.Join(dirs, ", "), errdefs.ErrNotFound)
	}
	return path, nil
}

func (r *runner) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, bytes.NewReader(stdin), &stdout, &stderr
	done, err := r.share(cmd)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", r.lock, err)
	}
	defer done()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for output that a process it left behind holds open
	err = cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s was killed: %w", path, context.Cause(ctx))
	}
	return nil, pluginError(err, stdout.Bytes(), stderr.Bytes())
}

// pluginError is what the plugin said, by CNI's form where it kept to that.
func pluginError(err error, stdout, stderr []byte) error {
	var said types.Error
	if json.Unmarshal(stdout, &said) == nil && said.Msg != "" {
		return &said
	}
	text := strings.TrimSpace(string(stderr) + "\n" + string(stdout))
	if text == "" {
		return fmt.Errorf("%w, and no word why", err)
	}
	const enough = 1024
	return fmt.Errorf("%w: %s", err, text[:min(len(text), enough)])
}
