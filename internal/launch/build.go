package launch

import (
	"encoding/binary"
	"syscall"
)

// Builder makes a program call by call.
type Builder struct {
	p     Program
	texts map[string]uint32
}

// A container with the default filter fits into these.
const (
	usualData  = 16 << 10
	usualCalls = 384
)

// NewBuilder starts a program that joins nothing.
func NewBuilder() *Builder {
	return &Builder{p: Program{Spawn: Spawn{Cgroup: -1, PIDs: -1}, Slots: 1}, texts: map[string]uint32{}}
}

// Program gives what was built; the builder must not be used after.
func (b *Builder) Program() *Program { return &b.p }

// Spawn lets the caller say how the child is made.
func (b *Builder) Spawn() *Spawn { return &b.p.Spawn }

// Int is a constant argument.
func Int(v int) Arg { return Arg{Const, uint64(v)} }

// FileArg is a file's descriptor.
func FileArg(f int) Arg { return Arg{File, uint64(f)} }

// AddFile counts one more file that travels with the program.
func (b *Builder) AddFile() Arg {
	b.p.Files++
	return FileArg(FirstFile + b.p.Files - 1)
}

// Text keeps a string with a zero behind it; equal strings share their place.
func (b *Builder) Text(s string) Arg { return Arg{Data, uint64(b.text(s))} }

func (b *Builder) text(s string) uint32 {
	at, ok := b.texts[s]
	if !ok {
		at = uint32(len(b.p.Data))
		b.p.Data = append(append(b.p.Data, s...), 0)
		b.texts[s] = at
	}
	return at
}

// Bytes keeps bytes at an address that is a multiple of 8.
func (b *Builder) Bytes(v []byte) Arg {
	at := b.Space(len(v))
	copy(b.p.Data[at.Value:], v)
	return at
}

// Space keeps n zero bytes at an address that is a multiple of 8.
func (b *Builder) Space(n int) Arg {
	for len(b.p.Data)%8 != 0 {
		b.p.Data = append(b.p.Data, 0)
	}
	at := len(b.p.Data)
	b.p.Data = append(b.p.Data, make([]byte, max(n, 1))...)
	return Arg{Data, uint64(at)}
}

// Words keeps 64-bit numbers; those that are Data become addresses.
func (b *Builder) Words(words ...Arg) Arg {
	at := b.Space(8 * len(words))
	for i, w := range words {
		if w.Kind == Data {
			b.p.Relocs = append(b.p.Relocs, Reloc{At: uint32(at.Value) + uint32(8*i), Target: uint32(w.Value)})
			continue
		}
		binary.LittleEndian.PutUint64(b.p.Data[int(at.Value)+8*i:], w.Value)
	}
	return at
}

// Texts keeps a list of strings that ends with a null pointer, as execve takes it.
func (b *Builder) Texts(list ...string) Arg {
	words := make([]Arg, 0, len(list)+1)
	for _, s := range list {
		words = append(words, b.Text(s))
	}
	return b.Words(append(words, Int(0))...)
}

func (b *Builder) add(c Call, args []Arg) {
	copy(c.Args[:], args)
	b.p.Calls = append(b.p.Calls, c)
}

// Must adds a call that ends the launch when it fails.
func (b *Builder) Must(nr uint32, note string, args ...Arg) { b.add(Call{Nr: nr, Note: note}, args) }

// May adds a call that is allowed to fail.
func (b *Builder) May(nr uint32, note string, args ...Arg) {
	b.add(Call{Nr: nr, Policy: May, Note: note}, args)
}

// Try adds a call whose failure is remembered for Fail.
func (b *Builder) Try(nr uint32, note string, args ...Arg) {
	b.add(Call{Nr: nr, Policy: Try, Note: note}, args)
}

// Else adds a call whose success skips the next calls.
func (b *Builder) Else(skip int, nr uint32, note string, args ...Arg) {
	b.add(Call{Nr: nr, Policy: Else, Skip: uint16(skip), Note: note}, args)
}

// Keep adds a call that must succeed and gives its result as an argument for later calls.
func (b *Builder) Keep(nr uint32, note string, args ...Arg) Arg {
	s := b.NewSlot()
	b.KeepIn(s, nr, note, args...)
	return s
}

// NewSlot makes a place for a result.
func (b *Builder) NewSlot() Arg {
	b.p.Slots++
	return Arg{Slot, uint64(b.p.Slots - 1)}
}

// KeepIn adds a call that must succeed and puts its result into a slot.
func (b *Builder) KeepIn(slot Arg, nr uint32, note string, args ...Arg) {
	b.add(Call{Nr: nr, Slot: uint16(slot.Value), Note: note}, args)
}

// ElseKeep adds a call that, when it succeeds, puts its result into a slot and skips
// the calls that rest adds.
func (b *Builder) ElseKeep(slot Arg, rest func(), nr uint32, note string, args ...Arg) {
	at := len(b.p.Calls)
	b.add(Call{Nr: nr, Policy: Else, Slot: uint16(slot.Value), Note: note}, args)
	rest()
	b.p.Calls[at].Skip = uint16(len(b.p.Calls) - at - 1)
}

// Equal adds a check of a 4 or 8 byte word.
func (b *Builder) Equal(at Arg, size int, mask, value uint64, note string) {
	b.Must(OpEqual, note, at, Int(size), Arg{Const, mask}, Arg{Const, value})
}

// Store adds a write of a 32-bit word.
func (b *Builder) Store(at, value Arg) { b.Must(OpStore, "", at, value) }

// At gives a place within what Space, Bytes or Words keep.
func At(a Arg, offset int) Arg { return Arg{a.Kind, a.Value + uint64(offset)} }

// Fail ends the launch with what Try remembered, else with errno.
func (b *Builder) Fail(errno syscall.Errno, note string) { b.Must(OpFail, note, Int(int(errno))) }

// OrSkip adds a call whose failure skips the calls that rest adds.
func (b *Builder) OrSkip(rest func(slot Arg), nr uint32, note string, args ...Arg) {
	b.orSkip(Else, rest, nr, note, args)
}

// IfFound adds a call that skips the calls that rest adds when it fails for lack of the file; it must not fail otherwise.
func (b *Builder) IfFound(rest func(slot Arg), nr uint32, note string, args ...Arg) {
	b.orSkip(Find, rest, nr, note, args)
}

func (b *Builder) orSkip(policy Policy, rest func(slot Arg), nr uint32, note string, args []Arg) {
	slot := b.NewSlot()
	b.add(Call{Nr: nr, Policy: policy, Skip: 1, Slot: uint16(slot.Value), Note: note}, args)
	at := len(b.p.Calls)
	b.add(Call{Nr: OpSkip, Policy: Else}, nil)
	rest(slot)
	b.p.Calls[at].Skip = uint16(len(b.p.Calls) - at - 1)
}
