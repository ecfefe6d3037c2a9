package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/config"
)

// patience is how long anything may take before a test gives up on it; speed is the benchmarks' matter.
const patience = 60 * time.Second

// readyWords are in the line that the daemon prints when it is ready.
const readyWords = "Mayfly is ready"

// Instance is one throw-away Mayfly.
type Instance struct {
	// Instance holds what it was told: directories, address, Pod network, names.
	config.Instance
	// Dir is the temporary directory that holds all of it.
	Dir string
	// Flags are added to those of Up.
	Flags []string
	// Environ is added to the daemon's environment.
	Environ []string

	tools  Tools
	daemon *exec.Cmd
	exited <-chan struct{}
	output *transcript
	// guardian clears up when this process dies.
	guardian *guardian
	// disk is true when Dir is a file system of its own.
	disk bool
}

// New lays out an instance without starting it.
func New(tools Tools) (*Instance, error) {
	dir, err := os.MkdirTemp("/tmp", "mf-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	i := &Instance{Dir: dir, tools: tools, output: &transcript{}, Instance: config.Instance{
		DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), Kubeconfig: filepath.Join(dir, "kubeconfig"),
		Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), NodeName: "node-" + strconv.Itoa(port),
		// One network of 254 addresses for each port, within the range that no site routes, RFC 6598.
		PodCIDRs: []string{fmt.Sprintf("100.%d.%d.0/24", 64+(port>>8)%64, port%256)},
	}}
	return i, nil
}

// SmallDisk puts the instance, which must not have been up yet, on a file system of its own of so many megabytes.
func (i *Instance) SmallDisk(megabytes int) error {
	if err := unix.Mount("tmpfs", i.Dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", megabytes)); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", i.Dir, err)
	}
	i.disk = true
	return nil
}

// Start lays out an instance and brings it up.
func Start(ctx context.Context, tools Tools, flags ...string) (*Instance, error) {
	i, err := New(tools)
	if err != nil {
		return nil, err
	}
	i.Flags = flags
	if err := i.Up(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// UpCommand is `mayfly up` with the flags of the instance.
func (i *Instance) UpCommand() *exec.Cmd {
	args := []string{
		"up", "--data-dir", i.DataDir, "--run-dir", i.RunDir, "--listen", i.Listen, "--kubeconfig", i.Kubeconfig,
		"--pod-cidr", strings.Join(i.PodCIDRs, ","), "--node-name", i.NodeName,
		"--cni-conf-dir", config.CNINone, // whatever the host has; a later flag goes before
	}
	cmd := exec.Command(i.tools.Mayfly, append(args, i.Flags...)...)
	cmd.Env = append(os.Environ(), i.Environ...)
	return cmd
}

// Up starts the daemon and returns when it says that it is ready.
func (i *Instance) Up(ctx context.Context) error {
	if i.PID() != 0 {
		return errors.New("up: it is up already")
	}
	if err := i.guard(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ready := make(chan struct{})
	cmd := i.UpCommand()
	cmd.Stdout = &watcher{next: i.output, want: readyWords, seen: ready}
	cmd.Stderr = i.output
	// A group of its own keeps it from ^C; the death signal stops it when this process dies without cleaning up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	exited, err := Launch(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", cmd, err)
	}
	i.daemon, i.exited = cmd, exited
	select {
	case <-ready:
		return nil
	case <-exited:
		i.daemon = nil
		return fmt.Errorf("up: %s: %s", cmd.ProcessState, i.Output())
	case <-ctx.Done():
		return fmt.Errorf("up: not ready: %w: %s", context.Cause(ctx), i.Output())
	}
}

// Launch starts a process and returns a channel that closes with its end. The thread that starts it waits for it, since
// the kernel sends the death signal (Pdeathsig) when that thread ends.
func Launch(cmd *exec.Cmd) (<-chan struct{}, error) {
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(exited)
	}()
	return exited, <-started
}

// Output is all that the daemon printed so far.
func (i *Instance) Output() string { return i.output.String() }

// ReadyLine is the last line of Output that says that the daemon is ready.
func (i *Instance) ReadyLine() string {
	ready := ""
	for line := range strings.Lines(i.Output()) {
		if strings.Contains(line, readyWords) {
			ready = strings.TrimSpace(line)
		}
	}
	return ready
}

// PID is the process of the daemon, 0 when it is not up.
func (i *Instance) PID() int {
	if i.daemon == nil {
		return 0
	}
	select {
	case <-i.exited:
		return 0
	default:
		return i.daemon.Process.Pid
	}
}

// Signal sends the daemon a signal and waits for its end. It returns how long that took and the exit code, -1 after
// a signal that killed it.
func (i *Instance) Signal(signal syscall.Signal) (time.Duration, int, error) {
	if i.PID() == 0 {
		return 0, 0, errors.New("signal: it is not up")
	}
	start := time.Now()
	if err := i.daemon.Process.Signal(signal); err != nil {
		return 0, 0, fmt.Errorf("signal: %w", err)
	}
	select {
	case <-i.exited:
		code := i.daemon.ProcessState.ExitCode()
		i.daemon = nil
		return time.Since(start), code, nil
	case <-time.After(patience):
		return 0, 0, fmt.Errorf("the daemon lives on %s after %v: %s", patience, signal, i.Output())
	}
}

// Command is a command with the instance's environment.
func (i *Instance) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), i.Env()...)
	return cmd
}

// Env points every program at the instance.
func (i *Instance) Env() []string {
	return []string{
		"KUBECONFIG=" + i.Kubeconfig, config.DataDirEnv + "=" + i.DataDir, config.RunDirEnv + "=" + i.RunDir,
		"PATH=" + i.tools.Bin + ":" + os.Getenv("PATH"), "HOME=" + i.Dir,
	}
}

// Run runs a command with the instance's environment and returns its standard output. An error holds what it wrote
// to both streams.
func (i *Instance) Run(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := i.Command(ctx, program, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", filepath.Base(program), strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return out.String(), nil
}

// Kubectl runs `mayfly kubectl`.
func (i *Instance) Kubectl(ctx context.Context, args ...string) (string, error) {
	return i.Run(ctx, i.tools.Mayfly, append([]string{"kubectl"}, args...)...)
}

// Import imports image archives.
func (i *Instance) Import(ctx context.Context, archives ...string) error {
	for _, archive := range archives {
		if _, err := i.Run(ctx, i.tools.Mayfly, "image", "import", archive); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the instance whatever its state, removes every trace, and returns as an error what `down --purge` left
// behind, which is a fault of Mayfly.
func (i *Instance) Close() error {
	var errs []error
	if i.PID() != 0 {
		if _, _, err := i.Signal(syscall.SIGTERM); err != nil {
			errs = append(errs, err, i.daemon.Process.Kill())
			<-i.exited
			i.daemon = nil
		}
	}
	if _, err := os.Stat(i.DataDir); err == nil {
		if _, err := i.Run(context.Background(), i.tools.Mayfly, "down", "--purge", "--data-dir", i.DataDir, "--run-dir", i.RunDir); err != nil {
			errs = append(errs, err)
		}
	}
	if left := i.Leftovers(); len(left) > 0 {
		errs = append(errs, fmt.Errorf("left behind: %s", strings.Join(left, "; ")))
		i.sweep()
	}
	if i.disk {
		errs = append(errs, unix.Unmount(i.Dir, unix.MNT_DETACH))
	}
	return errors.Join(append(errs, os.RemoveAll(i.Dir), i.dismiss())...)
}

// transcript keeps what a process writes, for several goroutines.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// watcher passes writes on and closes seen when they hold want.
type watcher struct {
	next io.Writer
	want string
	seen chan struct{}

	sofar []byte
	done  bool
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.next.Write(p) // first, so that who sees the words finds them in the output
	if !w.done {
		w.sofar = append(w.sofar, p...)
		if bytes.Contains(w.sofar, []byte(w.want)) {
			w.done, w.sofar = true, nil
			close(w.seen)
		}
	}
	return n, err
}
