package monitor

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// NewUserNamespace makes a user namespace with the given mappings, and in it the further
// namespaces of flags (CLONE_NEWNET and so on), which it owns. They live while use runs: pid
// is a process whose /proc/PID/ns/user, net and so on can be opened, joined, or bound
// elsewhere to make them stay.
func (e *Executable) NewUserNamespace(uids, gids []specs.LinuxIDMapping, flags uintptr, use func(pid int) error) error {
	runtime.LockOSThread() // Pdeathsig speaks of the thread
	defer runtime.UnlockOSThread()
	cmd := &exec.Cmd{
		Path: fmt.Sprintf("/proc/self/fd/%d", e.file.Fd()), Args: []string{"pause"}, Env: []string{"GOMAXPROCS=1"}, Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | flags, UidMappings: mappings(uids), GidMappings: mappings(gids),
			GidMappingsEnableSetgroups: true, Pdeathsig: syscall.SIGKILL,
		},
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make user namespace: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	return use(cmd.Process.Pid)
}

func mappings(list []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, 0, len(list))
	for _, m := range list {
		out = append(out, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return out
}

// BindNamespace keeps a namespace of a process (kind as in /proc/PID/ns) at a path, which
// is made: it lives until that is unmounted.
func BindNamespace(pid int, kind, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep %s namespace: %w", kind, err)
	}
	f.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/%s", pid, kind), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("keep %s namespace: %w", kind, err)
	}
	return nil
}
