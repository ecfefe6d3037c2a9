package launch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadLocal is where the thread's own data ends, as x86-64 lays it out.
func threadLocal() uintptr {
	const archGetFS = 0x1003
	var base uintptr
	_, _, _ = unix.RawSyscall(unix.SYS_ARCH_PRCTL, archGetFS, uintptr(unsafe.Pointer(&base)), 0)
	return base
}
