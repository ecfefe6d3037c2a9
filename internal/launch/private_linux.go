package launch

import (
	"bytes"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// makePrivate lets a fork copy nothing that this process has written but what the child works with: the rest is nobody's
// business there, and each page copied costs faults on both sides.
func (r *Runner) makePrivate() {
	if !r.private {
		r.private = true
		maps, _ := os.ReadFile("/proc/self/maps") // where it fails, more is copied
		for line := range bytes.Lines(maps) {
			if from, to, ok := written(line); ok {
				advise(from, to, unix.MADV_DONTFORK)
			}
		}
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(r.memory.mapped)))
	advise(first, first+uintptr(len(r.memory.mapped)), unix.MADV_DOFORK)
	if local := threadLocal(); local != 0 { // compiled code looks for the goroutine there
		page := uintptr(os.Getpagesize())
		advise(local&^(page-1)-page, local&^(page-1)+page, unix.MADV_DOFORK)
	}
}

// written reads a line of /proc/self/maps, as in
//
//	7f0000000000-7f0000021000 rw-p 00000000 00:00 0
//
// and tells whether the range is writable and not shared.
func written(line []byte) (from, to uintptr, ok bool) {
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.HasPrefix(fields[1], []byte("rw")) || !bytes.HasSuffix(fields[1], []byte("p")) {
		return 0, 0, false
	}
	low, high, _ := bytes.Cut(fields[0], []byte("-"))
	a, err := strconv.ParseUint(string(low), 16, 64)
	b, err2 := strconv.ParseUint(string(high), 16, 64)
	return uintptr(a), uintptr(b), err == nil && err2 == nil
}

// advise does no harm when it fails: more is copied then.
func advise(from, to uintptr, advice int) {
	_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, from, to-from, uintptr(advice))
}
