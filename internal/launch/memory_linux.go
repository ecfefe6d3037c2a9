package launch

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory holds all that a child touches, mapped apart from Go's heap.
type memory struct {
	mapped []byte
	stack  uintptr // lowest address
	job    *job
}

func align(n int) int { return (n + 63) &^ 63 }

// newMemory lays out [stack][job][slots][calls][data] and resolves the program into it.
func newMemory(p *Program, files []int) (*memory, error) {
	jobAt := childStack
	slotsAt := jobAt + align(int(unsafe.Sizeof(job{})))
	callsAt := slotsAt + align((p.Slots+1)*8)
	dataAt := callsAt + align((len(p.Calls)+1)*int(unsafe.Sizeof(flatCall{})))
	b, err := unix.Mmap(-1, 0, dataAt+align(len(p.Data)+64), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	base := uintptr(unsafe.Pointer(&b[0]))
	data := base + uintptr(dataAt)
	m := &memory{mapped: b, stack: base, job: (*job)(unsafe.Pointer(&b[jobAt]))}
	m.job.calls = unsafe.Pointer(&b[callsAt])
	m.job.ncalls = uintptr(len(p.Calls))
	m.job.slots = unsafe.Pointer(&b[slotsAt])
	m.job.data = unsafe.Pointer(&b[dataAt])
	copy(b[dataAt:], p.Data)
	for _, r := range p.Relocs {
		binary.LittleEndian.PutUint64(b[dataAt+int(r.At):], uint64(data)+uint64(r.Target))
	}
	if len(p.Calls) > 0 {
		flat := unsafe.Slice((*flatCall)(unsafe.Pointer(&b[callsAt])), len(p.Calls))
		for i := range p.Calls {
			flat[i] = flatten(&p.Calls[i], data, files)
		}
	}
	return m, nil
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

func (m *memory) free() { _ = unix.Munmap(m.mapped) }
