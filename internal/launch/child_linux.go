package launch

import (
	"syscall"
	"unsafe"
)

// runChild runs in the child, which shares the parent's memory: nothing here may
// allocate, grow the stack, or touch Go's heap.
//
//go:nosplit
//go:norace
//go:nocheckptr
func runChild(j *job) {
	rawSyscall(syscall.SYS_RT_SIGPROCMASK, 2 /* SIG_SETMASK */, uintptr(unsafe.Pointer(&j.mask)), 0, 8, 0, 0)
	for i := uintptr(0); i < j.ngaps; i++ {
		g := (*gap)(unsafe.Add(j.gaps, i*unsafe.Sizeof(gap{})))
		rawSyscall(sysCloseRange, g.first, g.last, 0, 0, 0, 0)
	}
	for i := uintptr(0); i < j.ncalls; i++ {
		c := (*flatCall)(unsafe.Add(j.calls, i*unsafe.Sizeof(flatCall{})))
		r, errno := j.step(c)
		if c.nr == OpFork && r != 0 {
			// The one that goes on has executed its command, or failed and said so.
			j.child = r
			for {
				rawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
			}
		}
		if errno == 0 {
			if c.slot != 0 {
				*(*uintptr)(unsafe.Add(j.slots, uintptr(c.slot)*8)) = r
			}
			i += uintptr(c.skip)
			continue
		}
		lack := errno == uintptr(syscall.ENOENT) || errno == uintptr(syscall.ENOTDIR)
		switch policy := Policy(c.policy); {
		case policy == Must, policy == Find && !lack:
			j.report.failed = i + 1
			j.report.errno = errno
			for {
				rawSyscall(syscall.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
			}
		case policy == Try:
			if j.remembered == 0 || j.remembered == uintptr(syscall.ENOENT) || j.remembered == uintptr(syscall.ENOTDIR) {
				j.remembered = errno
			}
		}
	}
	j.report.failed = j.ncalls
	j.report.errno = uintptr(syscall.ENOEXEC)
	for {
		rawSyscall(syscall.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}

// step makes one call.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (j *job) step(c *flatCall) (r, errno uintptr) {
	a0 := j.arg(c, 0)
	a1 := j.arg(c, 1)
	switch c.nr {
	case OpEqual:
		v := uint64(*(*uint32)(unsafe.Add(j.data, a0)))
		if a1 == 8 {
			v |= uint64(*(*uint32)(unsafe.Add(j.data, a0+4))) << 32
		}
		if v&uint64(c.args[2]) != uint64(c.args[3]) {
			return 0, uintptr(syscall.EXDEV)
		}
		return 0, 0
	case OpStore:
		*(*uint32)(unsafe.Add(j.data, a0)) = uint32(a1)
		return 0, 0
	case OpSkip:
		return 0, 0
	case OpFork:
		return fork(a0)
	case OpFail:
		if j.remembered != 0 {
			return 0, j.remembered
		}
		return 0, a0
	}
	r = rawSyscall(c.nr, a0, a1, j.arg(c, 2), j.arg(c, 3), j.arg(c, 4), j.arg(c, 5))
	if r > ^uintptr(4095) {
		return 0, -r
	}
	return r, 0
}

// fork makes a child with a copy of the memory in the PID namespace of a file, and waits until it has executed
// something or ended. It is the parent's sibling, so that the parent's parent reaps it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func fork(pidns uintptr) (r, errno uintptr) {
	r = rawSyscall(sysSetns, pidns, syscall.CLONE_NEWPID, 0, 0, 0, 0)
	if r == 0 {
		r = rawSyscall(syscall.SYS_CLONE, syscall.CLONE_PARENT|syscall.CLONE_VFORK|uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	}
	if r > ^uintptr(4095) {
		return 0, -r
	}
	return r, 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func (j *job) arg(c *flatCall, i uintptr) uintptr {
	v := c.args[i]
	if c.slots&(1<<i) != 0 {
		return *(*uintptr)(unsafe.Add(j.slots, v*8))
	}
	return v
}

// rawSyscall makes a system call and gives what the kernel returned.
//
//go:noescape
func rawSyscall(nr, a0, a1, a2, a3, a4, a5 uintptr) uintptr
