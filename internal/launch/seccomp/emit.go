package seccomp

import (
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Codes of classic BPF (linux/bpf_common.h).
const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opRet  = unix.BPF_RET | unix.BPF_K
	opJA   = unix.BPF_JMP | unix.BPF_JA
	opJEQ  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJGT  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opJGE  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
)

// Offsets in struct seccomp_data.
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16
)

// maxJump is how far a conditional jump reaches, less what may come between.
const maxJump = 250

// emitter builds a program from its end to its start, so that every target of a jump is
// known: jumps of BPF go forward only. A place is an index in reverse.
type emitter struct {
	reverse []Instruction
	rets    map[uint32]int
}

func (e *emitter) emit(i Instruction) int {
	e.reverse = append(e.reverse, i)
	return len(e.reverse) - 1
}

// ret gives the place of a return, near enough to jump to.
func (e *emitter) ret(value uint32) int {
	if at, ok := e.rets[value]; ok && len(e.reverse)-at < maxJump {
		return at
	}
	if e.rets == nil {
		e.rets = map[uint32]int{}
	}
	e.rets[value] = e.emit(Instruction{Code: opRet, K: value})
	return e.rets[value]
}

// near gives a place within reach that leads to at.
func (e *emitter) near(at int) int {
	if len(e.reverse)-at < maxJump {
		return at
	}
	if i := e.reverse[at]; i.Code == opRet {
		return e.emit(i)
	}
	return e.emit(Instruction{Code: opJA, K: uint32(len(e.reverse) - 1 - at)})
}

// jump emits a comparison of the accumulator.
func (e *emitter) jump(code uint16, k uint32, yes, no int) int {
	yes = e.near(yes)
	no = e.near(no)
	here := len(e.reverse)
	return e.emit(Instruction{Code: code, Jt: uint8(here - 1 - yes), Jf: uint8(here - 1 - no), K: k})
}

// load emits a load that goes on at next.
func (e *emitter) load(offset uint32, next int) int {
	e.follow(next)
	return e.emit(Instruction{Code: opLoad, K: offset})
}

// follow makes next the instruction that comes after the one emitted next.
func (e *emitter) follow(next int) {
	if next != len(e.reverse)-1 {
		e.emit(Instruction{Code: opJA, K: uint32(len(e.reverse) - 1 - next)})
	}
}

// condition emits a comparison of a 64-bit argument.
func (e *emitter) condition(a specs.LinuxSeccompArg, yes, no int) (int, error) {
	switch a.Op {
	case specs.OpEqualTo:
		return e.equal(a, yes, no), nil
	case specs.OpNotEqual:
		return e.equal(a, no, yes), nil
	case specs.OpMaskedEqual:
		return e.masked(a, yes, no), nil
	case specs.OpGreaterThan:
		return e.order(a, opJGT, yes, no), nil
	case specs.OpGreaterEqual:
		return e.order(a, opJGE, yes, no), nil
	case specs.OpLessThan:
		return e.order(a, opJGE, no, yes), nil
	case specs.OpLessEqual:
		return e.order(a, opJGT, no, yes), nil
	}
	return 0, fmt.Errorf("operator %q: %w", a.Op, ErrUnsupported)
}

func low(a specs.LinuxSeccompArg) uint32  { return argsAt + 8*uint32(a.Index) }
func high(a specs.LinuxSeccompArg) uint32 { return low(a) + 4 }

func (e *emitter) equal(a specs.LinuxSeccompArg, yes, no int) int {
	lower := e.load(low(a), e.jump(opJEQ, uint32(a.Value), yes, no))
	return e.load(high(a), e.jump(opJEQ, uint32(a.Value>>32), lower, no))
}

func (e *emitter) order(a specs.LinuxSeccompArg, code uint16, yes, no int) int {
	lower := e.load(low(a), e.jump(code, uint32(a.Value), yes, no))
	upper := uint32(a.Value >> 32)
	differ := e.jump(opJGT, upper, yes, no)
	return e.load(high(a), e.jump(opJEQ, upper, lower, differ))
}

// masked compares args & Value with ValueTwo.
func (e *emitter) masked(a specs.LinuxSeccompArg, yes, no int) int {
	part := func(offset, mask, value uint32, yes, no int) int {
		e.follow(e.jump(opJEQ, value, yes, no))
		return e.load(offset, e.emit(Instruction{Code: opAnd, K: mask}))
	}
	lower := part(low(a), uint32(a.Value), uint32(a.ValueTwo), yes, no)
	return part(high(a), uint32(a.Value>>32), uint32(a.ValueTwo>>32), lower, no)
}

// architectures emits the whole filter. What is called in a way that the profile does not
// name dies: its numbers mean something else.
func (e *emitter) architectures(profile *specs.LinuxSeccomp, def uint32, wanted []specs.Arch) error {
	known := machines()
	starts := map[uint32]int{}
	foreign := e.ret(unix.SECCOMP_RET_KILL_PROCESS)
	x32 := foreign
	for _, name := range []specs.Arch{specs.ArchX32, specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64, specs.ArchARM} {
		m, ok := known[name]
		if !ok || !slices.Contains(wanted, name) {
			continue
		}
		at, err := e.search(profile, m, def)
		if err != nil {
			return err
		}
		switch name {
		case specs.ArchX32:
			x32 = at
			continue
		case specs.ArchX86_64:
			at = e.jump(opJGE, 0x40000000, x32, at)
		}
		starts[m.audit] = e.load(numberAt, at)
	}
	next := foreign
	for _, name := range []specs.Arch{specs.ArchX86, specs.ArchARM, specs.ArchX86_64, specs.ArchAARCH64} { // the native one is asked first
		if at, ok := starts[known[name].audit]; ok {
			next = e.jump(opJEQ, known[name].audit, at, next)
		}
	}
	e.load(archAt, next)
	return nil
}

func (e *emitter) instructions() []Instruction {
	out := slices.Clone(e.reverse)
	slices.Reverse(out)
	return out
}
