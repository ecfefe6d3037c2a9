package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// askTimeout bounds how long a runtime may take to say what it can do.
const askTimeout = 10 * time.Second

// Runtime is one OCI runtime.
type Runtime struct {
	path, root, cgroupRoot string
	// keep says that a container that has ended can be kept, and with it its cgroup, which knows whether memory ran out.
	keep bool
	// LeavesCgroups says that cgroups are left to whoever runs it: it makes, limits and removes none.
	LeavesCgroups bool
	// RecursiveReadOnly says that it knows the mount option rro.
	RecursiveReadOnly bool
}

// Open finds out what the runtime at path, an executable, can do. It keeps its own state below root; cgroupRoot is the instance's
// cgroup.
func Open(ctx context.Context, path, root, cgroupRoot string) (*Runtime, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("OCI runtime %q: not an absolute path", path)
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("OCI runtime %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	general, err := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("OCI runtime %s: --help: %w", path, err)
	}
	run, err := exec.CommandContext(ctx, path, "run", "--help").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("OCI runtime %s: run --help: %w", path, err)
	}
	r := &Runtime{
		path: path, root: root, cgroupRoot: cgroupRoot,
		keep: bytes.Contains(run, []byte("--keep")), LeavesCgroups: bytes.Contains(general, []byte("--cgroup-manager")),
	}
	var features struct{ MountOptions []string }
	if out, err := exec.CommandContext(ctx, path, "features").Output(); err == nil && json.Unmarshal(out, &features) == nil {
		r.RecursiveReadOnly = slices.Contains(features.MountOptions, "rro")
	}
	return r, nil
}

// Names of files in a bundle besides config.json.
const (
	pidFile = "init.pid"
	logFile = "oci.log"
)

// Run is the command that runs a bundle as long as its container runs.
func (r *Runtime) Run(id, bundle string) []string {
	args := r.command(bundle, "run", "--bundle", bundle, "--pid-file", filepath.Join(bundle, pidFile))
	if r.keep {
		args = append(args, "--keep")
	}
	return append(args, id)
}

// Exec is the command that runs a process, an OCI process as JSON in a file, in a running container. Its number on the
// host goes into pidFile.
func (r *Runtime) Exec(id, bundle, process, pidFile string) []string {
	return r.command(bundle, "exec", "--process", process, "--pid-file", pidFile, id)
}

func (r *Runtime) command(bundle string, args ...string) []string {
	options := []string{r.path, "--root", r.root, "--log", filepath.Join(bundle, logFile), "--log-format", "json"}
	if r.LeavesCgroups {
		options = append(options, "--cgroup-manager", "disabled")
	}
	return append(options, args...)
}

// Delete makes the runtime forget a container in a cgroup, and kills it if it runs. One that it does not know is no error,
// nor is one that it forgets meanwhile: the command that runs a container does so itself at the end.
func (r *Runtime) Delete(ctx context.Context, id, cgroup string) error {
	known := func() bool {
		_, err := os.Stat(filepath.Join(r.root, id))
		return err == nil
	}
	if known() {
		if out, err := exec.CommandContext(ctx, r.path, "--root", r.root, "delete", "--force", id).CombinedOutput(); err != nil && known() {
			return fmt.Errorf("%s delete %s: %w: %s", r.path, id, err, bytes.TrimSpace(out))
		}
	}
	r.sweep(cgroup)
	return nil
}

// Purge removes the cgroups of an instance where runtimes make some and Mayfly does not.
func Purge(cgroupRoot string) error {
	var dirs []string
	err := filepath.WalkDir(filepath.Join(hybrid, cgroupRoot), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, dir := range slices.Backward(dirs) {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}

// hybrid is where cgroup v2 is mounted beside the hierarchies of v1, without controllers.
const hybrid = "/sys/fs/cgroup/unified"

// sweep removes cgroups of the instance that are empty where runtimes make some and Mayfly does not.
func (r *Runtime) sweep(cgroup string) {
	for cgroup != "/" && (cgroup == r.cgroupRoot || strings.HasPrefix(cgroup, r.cgroupRoot+"/")) {
		if err := os.Remove(filepath.Join(hybrid, cgroup)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		cgroup = filepath.Dir(cgroup)
	}
}

// PID reads the container's first process, 0 when it has none yet.
func PID(bundle string) int { return ReadPID(filepath.Join(bundle, pidFile)) }

// ReadPID reads a file that a runtime wrote a process's number to, 0 when it has not.
func ReadPID(file string) int {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// Failure is what the runtime's log says of a container that it could not run.
func Failure(bundle string) error {
	message := "the OCI runtime ended without a word"
	content, err := os.ReadFile(filepath.Join(bundle, logFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("log of the OCI runtime: %w", err)
	}
	for line := range bytes.Lines(content) {
		var entry struct{ Msg, Level string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg != "" {
			message = entry.Msg
		}
	}
	return fmt.Errorf("%s: %w", message, errdefs.ErrUnknown)
}
