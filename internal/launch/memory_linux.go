package launch

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory holds all that a child touches, mapped apart from Go's heap. It is used again and again: to map, touch and
// unmap pages takes longer than much of what a launch does.
type memory struct {
	mapped []byte
	shared []byte  // with a child that has memory of its own: the report
	stack  uintptr // lowest address
	job    *job
}

// room is what memory grows by, so that the next program fits in as well.
const room = 128 << 10

// reserve makes room for n bytes.
func (m *memory) reserve(n int) (err error) {
	if len(m.mapped) >= n {
		return nil
	}
	m.free()
	m.mapped, err = unix.Mmap(-1, 0, (n+room-1)/room*room, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	return err
}

func (m *memory) share() (err error) {
	if m.shared == nil {
		m.shared, err = unix.Mmap(-1, 0, int(unsafe.Sizeof(report{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	}
	return err
}

func align(n int) int { return (n + 63) &^ 63 }

// load lays out [stack][job and report][slots][calls][data][gaps] and resolves the program into it.
func (m *memory) load(c *Code, files []int) error {
	p := &c.frame
	jobAt := childStack
	reportAt := jobAt + align(int(unsafe.Sizeof(job{})))
	slotsAt := reportAt + align(int(unsafe.Sizeof(report{})))
	callsAt := slotsAt + align((p.Slots+1)*8)
	dataAt := callsAt + align((c.ncalls+1)*int(unsafe.Sizeof(flatCall{})))
	gapsAt := dataAt + align(len(p.Data)+64)
	var gaps []gap
	if c.forks > 0 {
		gaps = gapsBetween(files)
	}
	if err := m.reserve(gapsAt + align(len(gaps)*int(unsafe.Sizeof(gap{})))); err != nil {
		return err
	}
	b := m.mapped
	base := uintptr(unsafe.Pointer(&b[0]))
	data := base + uintptr(dataAt)
	m.stack, m.job = base, (*job)(unsafe.Pointer(&b[jobAt]))
	*m.job = job{report: (*report)(unsafe.Pointer(&b[reportAt]))}
	if len(gaps) > 0 {
		copy(unsafe.Slice((*gap)(unsafe.Pointer(&b[gapsAt])), len(gaps)), gaps)
		m.job.gaps, m.job.ngaps = unsafe.Pointer(&b[gapsAt]), uintptr(len(gaps))
		if err := m.share(); err != nil {
			return err
		}
		m.job.report = (*report)(unsafe.Pointer(&m.shared[0]))
	}
	*m.job.report = report{}
	m.job.calls = unsafe.Pointer(&b[callsAt])
	m.job.ncalls = uintptr(c.ncalls)
	m.job.slots = unsafe.Pointer(&b[slotsAt])
	clear(b[slotsAt:callsAt])
	m.job.data = unsafe.Pointer(&b[dataAt])
	copy(b[dataAt:], p.Data)
	for r := range c.eachReloc {
		binary.LittleEndian.PutUint64(b[dataAt+int(r.At):], uint64(data)+uint64(r.Target))
	}
	flat := unsafe.Slice((*flatCall)(unsafe.Pointer(&b[callsAt])), c.ncalls)
	for i, call := range c.eachCall {
		flat[i] = flatten(call, data, files)
	}
	return nil
}

func flatten(c *Call, data uintptr, files []int) flatCall {
	f := flatCall{nr: uintptr(c.Nr), policy: uint8(c.Policy), skip: c.Skip, slot: c.Slot}
	for i, a := range c.Args {
		switch a.Kind {
		case Const:
			f.args[i] = uintptr(a.Value)
		case Data:
			f.args[i] = data + uintptr(a.Value)
		case File:
			f.args[i] = uintptr(files[a.Value])
		case Slot:
			f.args[i] = uintptr(a.Value)
			f.slots |= 1 << i
		}
	}
	if (c.Nr == OpEqual || c.Nr == OpStore) && c.Args[0].Kind == Data {
		f.args[0] -= data
	}
	return f
}

// gapsBetween are the descriptors that a program which forks does not need, apart from the standard ones.
func gapsBetween(files []int) []gap {
	used := slices.Clone(files)
	slices.Sort(used)
	first := 3
	var gaps []gap
	for _, fd := range used {
		if fd > first {
			gaps = append(gaps, gap{uintptr(first), uintptr(fd - 1)})
		}
		first = max(first, fd+1)
	}
	return append(gaps, gap{uintptr(first), 1<<32 - 1})
}

func (m *memory) free() {
	for _, b := range [][]byte{m.mapped, m.shared} {
		if b != nil {
			_ = unix.Munmap(b)
		}
	}
	*m = memory{}
}
