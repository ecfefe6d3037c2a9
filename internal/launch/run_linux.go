package launch

import (
	"cmp"
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Failure says which call of a program failed. Call is -1 when the child could not be made.
type Failure struct {
	Call  int
	Errno syscall.Errno
}

// Error names the call's number.
func (f *Failure) Error() string { return f.Errno.Error() }

// Unwrap gives the errno.
func (f *Failure) Unwrap() error { return f.Errno }

const (
	childStack  = 32 << 10
	signalBlock = ^uint64(0)
)

// job is what the child works on. It lies outside of Go's heap, with all it points to.
type job struct {
	calls      unsafe.Pointer // ncalls × flatCall
	ncalls     uintptr
	slots      unsafe.Pointer // uintptrs
	data       unsafe.Pointer
	remembered uintptr // errno of a Try
	report     *report
	gaps       unsafe.Pointer // ngaps × gap
	ngaps      uintptr
	child      uintptr // of OpFork
	mask       uint64  // an empty signal mask
	pidfd      int32   // the kernel writes it for the parent
}

// report is how the launch failed. After OpFork it is all that the child can write to.
type report struct {
	failed uintptr // index of the call that failed, plus one
	errno  uintptr
}

// gap is a range of descriptors that the child closes first.
type gap struct{ first, last uintptr }

const (
	sysCloseRange = unix.SYS_CLOSE_RANGE
	sysSetns      = unix.SYS_SETNS
)

// flatCall is a Call with its arguments' addresses and descriptors resolved.
type flatCall struct {
	nr     uintptr
	policy uint8
	skip   uint16
	slots  uint8 // bit i: args[i] is a slot's number
	slot   uint16
	args   [6]uintptr // of an Op, args[0] is an offset in the data
}

// Runner runs programs, one at a time. The zero value is ready.
type Runner struct {
	memory  memory
	private bool // what a fork need not see has been marked
	born    birthplace
}

// Free gives back the memory that a Runner keeps between runs.
func (r *Runner) Free() { r.memory.free() }

// Run runs code in a child and returns once the child executes the program's
// last call (an execve) or fails. files are the descriptors of FileStdin and so on;
// -1 stands for one that the program does not use. The calling thread is stopped
// meanwhile and should be the caller's own (runtime.LockOSThread). The caller reaps
// the child, also after a *Failure, whose pid is given then if there was a child.
//
// The process should have PR_SET_DUMPABLE 0: its memory is the child's for a while. That
// keeps everyone out but those with CAP_SYS_PTRACE who see the child: nobody before OpFork, and
// none of those who live in Spawn.PIDs.
func (r *Runner) Run(c Code, files []int) (pid, pidfd int, err error) {
	if len(files) < FirstFile+c.Files() {
		return 0, -1, ErrProgram
	}
	m, spawn := &r.memory, c.frame.Spawn
	if err := m.load(&c, files); err != nil {
		return 0, -1, err
	}
	if m.job.ngaps > 0 {
		r.makePrivate()
	}
	args := cloneArgs{
		flags: spawn.Flags | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		pidfd: uint64(uintptr(unsafe.Pointer(&m.job.pidfd))), exitSignal: uint64(unix.SIGCHLD),
		stack: uint64(m.stack), stackSize: childStack,
	}
	if spawn.Cgroup >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(files[spawn.Cgroup])
	}
	n, errno := r.bear(spawn.PIDs, files, &args)
	if errno != 0 {
		return 0, -1, &Failure{Call: -1, Errno: errno}
	}
	pid, pidfd = n, int(m.job.pidfd)
	if m.job.child != 0 {
		pid, pidfd = int(m.job.child), succeed(int(m.job.child), pidfd)
	}
	if report := *m.job.report; report.errno != 0 {
		if pidfd >= 0 {
			unix.Close(pidfd)
		}
		return pid, -1, &Failure{Call: int(report.failed) - 1, Errno: syscall.Errno(report.errno)}
	}
	return pid, pidfd, nil
}

// bear makes the child, in the PID namespace that the program names.
func (r *Runner) bear(namespace int, files []int, args *cloneArgs) (int, syscall.Errno) {
	if err := r.born.choose(namespace, files); err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		return 0, cmp.Or(errno, syscall.EINVAL)
	}
	pid, errno := vfork(args, r.memory.job)
	_ = r.born.choose(-1, nil) // the next launch chooses again, and tells if it cannot
	return pid, errno
}

// succeed buries the child that made another one, and gives the other's pidfd: -1 when that has ended and was reaped.
func succeed(pid, before int) int {
	for {
		// Whoever waits for all children may have been first.
		if err := unix.Waitid(unix.P_PIDFD, before, nil, unix.WEXITED, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	unix.Close(before)
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	return pidfd
}

// cloneArgs is struct clone_args of linux/sched.h.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls, setTID, setTIDSize     uint64
	cgroup                                        uint64
}

// vfork runs the job in a child. No signal reaches the child's thread before its handlers
// are gone (CLONE_CLEAR_SIGHAND), so no handler of Go's runs there.
func vfork(args *cloneArgs, j *job) (int, syscall.Errno) {
	old, all := uint64(0), uint64(signalBlock)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	r := enterClone(args, j)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	if r > -4096 && r < 0 {
		return 0, syscall.Errno(-r)
	}
	return int(r), 0
}

// enterClone gives the processor back to Go's scheduler while the thread is stopped,
// so that a slow execve delays nobody else.
//
//go:nosplit
//go:norace
func enterClone(args *cloneArgs, j *job) int {
	entersyscall()
	r := rawClone3(args, unsafe.Sizeof(*args), j)
	exitsyscall()
	return r
}

// entersyscall and exitsyscall are kept stable by Go for gVisor.
//
//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// rawClone3 makes the child, which starts in runChild on its own stack and never returns.
//
//go:noescape
func rawClone3(args *cloneArgs, size uintptr, j *job) int
