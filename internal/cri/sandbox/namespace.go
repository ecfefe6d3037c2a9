package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/thread"
	"github.com/mayfly-run/mayfly/internal/launch/monitor"
)

// Namespaces makes the namespaces of sandboxes below one run directory.
type Namespaces struct {
	run        string
	executable *monitor.Executable
}

// NewNamespaces prepares the directories below run. The executable is needed for user namespaces alone.
func NewNamespaces(run string, executable *monitor.Executable) (*Namespaces, error) {
	for _, dir := range []string{"netns", "ns", "shm"} {
		if err := os.MkdirAll(filepath.Join(run, dir), 0o700); err != nil {
			return nil, fmt.Errorf("make namespace directory: %w", err)
		}
	}
	return &Namespaces{run: run, executable: executable}, nil
}

// Wanted says which namespaces a sandbox gets of its own, and what is set inside.
type Wanted struct {
	Network, IPC, UTS bool
	// Users asks for a user namespace, which owns the others; nil is the host's.
	Users *Users
	// PID says that a pause process will hold a PID namespace; [Namespaces.KeepPID] binds it.
	PID bool
	// Hostname is set in the new UTS namespace.
	Hostname string
	// Sysctls are set from inside the new namespaces; [CheckSysctls] has accepted them.
	Sysctls map[string]string
}

// Paths are where namespaces are bound; empty for those shared with the host. PID is that of the pause process.
type Paths struct{ Network, IPC, UTS, PID, User string }

// PathsOf returns where the namespaces of a sandbox are, whether they exist or not.
func (n *Namespaces) PathsOf(id string, want Wanted) Paths {
	var p Paths
	if want.Network {
		p.Network = filepath.Join(n.run, "netns", id)
	}
	if want.IPC {
		p.IPC = filepath.Join(n.run, "ns", id+".ipc")
	}
	if want.UTS {
		p.UTS = filepath.Join(n.run, "ns", id+".uts")
	}
	if want.Users != nil {
		p.User = filepath.Join(n.run, "ns", id+".user")
	}
	if want.PID {
		p.PID = filepath.Join(n.run, "ns", id+".pid")
	}
	return p
}

// Make makes the wanted namespaces. After an error nothing is left.
func (n *Namespaces) Make(id string, want Wanted) (Paths, error) {
	paths := n.PathsOf(id, want)
	build := func() error { return thread.Do(func() error { return want.make(paths) }) }
	if want.Users != nil {
		build = func() error { return n.makeOwned(want, paths) }
	}
	if err := build(); err != nil {
		return Paths{}, errors.Join(fmt.Errorf("make namespaces of sandbox %s: %w", id, err), n.Remove(id))
	}
	return paths, nil
}

// make runs on the thread to be thrown away.
func (w Wanted) make(paths Paths) error {
	flags := w.flags()
	if flags == 0 {
		return nil
	}
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := w.furnish(); err != nil {
		return err
	}
	for _, ns := range []struct{ name, path string }{{"net", paths.Network}, {"ipc", paths.IPC}, {"uts", paths.UTS}} {
		if ns.path == "" {
			continue
		}
		if err := keep("/proc/thread-self/ns/"+ns.name, ns.path); err != nil {
			return err
		}
	}
	return nil
}

func (w Wanted) flags() int {
	flags := 0
	for flag, on := range map[int]bool{unix.CLONE_NEWNET: w.Network, unix.CLONE_NEWIPC: w.IPC, unix.CLONE_NEWUTS: w.UTS} {
		if on {
			flags |= flag
		}
	}
	return flags
}

// furnish runs inside the new namespaces.
func (w Wanted) furnish() error {
	if w.Network {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	if w.UTS && w.Hostname != "" {
		if err := unix.Sethostname([]byte(w.Hostname)); err != nil {
			return fmt.Errorf("set hostname %q: %w", w.Hostname, err)
		}
	}
	return writeSysctls(w.Sysctls, w.Network)
}

// keep binds a namespace onto a new file, so that it lives without a process.
func keep(source, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	file.Close()
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s onto %s: %w", source, path, err)
	}
	return nil
}

// KeepPID binds the PID namespace of a pause process. It does not outlive that process, but its path cannot come to
// mean another's, as one in /proc can.
func (n *Namespaces) KeepPID(id string, pid int) error {
	return keep(fmt.Sprintf("/proc/%d/ns/pid", pid), n.PathsOf(id, Wanted{PID: true}).PID)
}

// Remove lets the namespaces of a sandbox go; the kernel ends them with their last process.
func (n *Namespaces) Remove(id string) error {
	var errs []error
	paths := n.PathsOf(id, Wanted{Network: true, IPC: true, UTS: true, PID: true, Users: &Users{}})
	for _, path := range []string{paths.Network, paths.IPC, paths.UTS, paths.PID, paths.User} {
		errs = append(errs, unbind(path))
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// unbind unmounts everything at path, if anything is mounted there.
func unbind(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); {
		case err == nil: // there may be another below
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// loopbackUp sets lo up in the network namespace of this thread.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}
