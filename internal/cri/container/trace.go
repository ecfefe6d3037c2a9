package container

import (
	"os"
	"slices"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// beforeLaunch tells whether a process that is launched into c's PID namespace may be traced by one there that lives
// already; it has memory of its own then from the beginning (compile.Options). A container that is started has its
// specification; a command that is executed in one has none. launched must be called when it has executed its command:
// until then nobody who may trace is launched.
func (s *Service) beforeLaunch(c *Container, started *specs.Spec) (traced bool, launched func(), err error) {
	box, err := s.cfg.Sandboxes.Get(c.SandboxID())
	if err != nil {
		return false, nil, err
	}
	if started != nil && tracer(started) {
		box.Tracing.Lock()
		return s.traced(c), box.Tracing.Unlock, nil
	}
	box.Tracing.RLock()
	return s.traced(c), box.Tracing.RUnlock, nil
}

// traced tells whether a process of a container that has been started in c's sandbox may trace there. c counts once it has
// been started as well. Only a sandbox's own containers, and those that see all of the host's processes, share a PID
// namespace; the latter see the monitor anyway.
func (s *Service) traced(c *Container) bool {
	if dumpable() {
		return true
	}
	return slices.ContainsFunc(s.Of(c.SandboxID()), func(other *Container) bool {
		if !other.snapshot().Started || other == c && !c.Running() {
			return false
		}
		built, err := s.loadSpec(other)
		return err != nil || tracer(built)
	})
}

// tracer tells whether a container may look into processes that keep others out (PR_SET_DUMPABLE, ptrace(2)). Whoever has
// the right in a user namespace alone may not.
func tracer(built *specs.Spec) bool {
	apart := func(ns specs.LinuxNamespace) bool { return ns.Type == specs.UserNamespace }
	if built.Process == nil || built.Process.Capabilities == nil || built.Linux != nil && slices.ContainsFunc(built.Linux.Namespaces, apart) {
		return false
	}
	return slices.Contains(built.Process.Capabilities.Bounding, "CAP_SYS_PTRACE")
}

// suidDumpable is read anew each time from its beginning.
var suidDumpable = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/sys/fs/suid_dumpable") })

// dumpable tells whether the host lets those with the same rights look into a process that has changed its user, which
// is meant for debugging the host (fs.suid_dumpable of proc_sys_fs(5)).
func dumpable() bool {
	f, err := suidDumpable()
	if err != nil {
		return true
	}
	var value [1]byte
	_, err = f.ReadAt(value[:], 0)
	return err != nil || value[0] == '1'
}
