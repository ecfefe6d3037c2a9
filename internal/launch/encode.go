package launch

import (
	"errors"
	"fmt"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

const (
	version = 5
	// namespaces are the clone flags that a program may set.
	namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUSER
)

// ErrProgram is what a program that does not hold together gives.
var ErrProgram = errors.New("invalid launch program")

// MarshalBinary encodes a valid program, all but the notes: those stay with whoever can tell people.
func (p *Program) MarshalBinary() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	w := wire.Writer{B: make([]byte, 0, 256+len(p.Data)+len(p.Calls)*48)}
	w.U8(version)
	w.U64(p.Spawn.Flags)
	w.I64(int64(p.Spawn.Cgroup))
	w.I64(int64(p.Spawn.PIDs))
	w.U32(uint32(p.Files))
	w.U32(uint32(p.Slots))
	w.Bytes(p.Data)
	w.U32(uint32(len(p.Relocs)))
	for _, r := range p.Relocs {
		w.U32(r.At)
		w.U32(r.Target)
	}
	w.U32(uint32(len(p.Calls)))
	for i := range p.Calls {
		p.Calls[i].encode(&w)
	}
	return w.B, nil
}

func (c *Call) encode(w *wire.Writer) {
	w.U32(c.Nr)
	w.U8(uint8(c.Policy))
	w.U16(c.Skip)
	w.U16(c.Slot)
	n := len(c.Args)
	for n > 0 && c.Args[n-1] == (Arg{}) {
		n--
	}
	w.U8(uint8(n))
	for _, a := range c.Args[:n] {
		w.U8(uint8(a.Kind))
		w.U64(a.Value)
	}
}

// Validate checks that every reference stays within the program.
func (p *Program) Validate() error {
	if err := p.validateFrame(len(p.Calls)); err != nil {
		return err
	}
	for _, r := range p.Relocs {
		if err := p.validateReloc(r); err != nil {
			return err
		}
	}
	forks := 0
	for i := range p.Calls {
		if err := p.validateCall(&p.Calls[i], len(p.Calls)-i-1, &forks); err != nil {
			return fmt.Errorf("%w: call %d: %w", ErrProgram, i, err)
		}
	}
	return nil
}

// validateFrame checks all but relocations and calls.
func (p *Program) validateFrame(calls int) error {
	switch {
	case p.Spawn.Flags&^uint64(namespaces) != 0:
		return fmt.Errorf("%w: clone flags %#x", ErrProgram, p.Spawn.Flags)
	case p.Files < 0 || p.Files > MaxFiles:
		return fmt.Errorf("%w: %d files", ErrProgram, p.Files)
	case p.Slots < 0 || p.Slots > MaxSlots:
		return fmt.Errorf("%w: %d slots", ErrProgram, p.Slots)
	case len(p.Data) > MaxData || calls > MaxCalls:
		return fmt.Errorf("%w: too large", ErrProgram)
	case p.Spawn.PIDs >= 0 && p.Spawn.Flags&unix.CLONE_NEWPID != 0:
		return fmt.Errorf("%w: a PID namespace joined and another made", ErrProgram)
	case !p.validFile(p.Spawn.Cgroup) || !p.validFile(p.Spawn.PIDs):
		return fmt.Errorf("%w: no such file to spawn with", ErrProgram)
	}
	return nil
}

func (p *Program) validateReloc(r Reloc) error {
	if uint64(r.At)+8 > uint64(len(p.Data)) || uint64(r.Target) > uint64(len(p.Data)) {
		return fmt.Errorf("%w: relocation %d to %d", ErrProgram, r.At, r.Target)
	}
	return nil
}

func (p *Program) validFile(f int) bool { return f >= -1 && f < FirstFile+p.Files }

// validateCall checks a call after which so many others follow; it counts forks.
func (p *Program) validateCall(c *Call, after int, forks *int) error {
	if c.Nr == OpFork {
		*forks++
	}
	switch {
	case *forks > 1:
		return errors.New("forks again")
	case c.Nr >= OpEqual && c.Nr >= opEnd, c.Nr > 4096 && c.Nr < OpEqual:
		return fmt.Errorf("number %#x", c.Nr)
	case c.Policy > Find, c.Policy.skips() != (c.Skip != 0):
		return fmt.Errorf("policy %d skips %d", c.Policy, c.Skip)
	case int(c.Skip) > after:
		return errors.New("skips past the end")
	case int(c.Slot) >= max(p.Slots, 1):
		return fmt.Errorf("slot %d", c.Slot)
	}
	for _, a := range c.Args {
		if err := p.validateArg(a); err != nil {
			return err
		}
	}
	return p.validateOp(c)
}

func (p *Program) validateArg(a Arg) error {
	bad := false
	switch a.Kind {
	case Const:
	case Data:
		bad = a.Value >= uint64(len(p.Data))
	case File:
		bad = a.Value >= uint64(FirstFile+p.Files)
	case Slot:
		bad = a.Value == 0 || a.Value >= uint64(p.Slots)
	default:
		bad = true
	}
	if bad {
		return fmt.Errorf("argument of kind %d and value %d", a.Kind, a.Value)
	}
	return nil
}

// validateOp checks what the interpreter itself reads and writes.
func (p *Program) validateOp(c *Call) error {
	var size uint64
	switch c.Nr {
	case OpEqual:
		size = c.Args[1].Value
		if c.Args[1].Kind != Const || size != 4 && size != 8 {
			return errors.New("compares an odd size")
		}
	case OpStore:
		size = 4
	case OpFork:
		if c.Policy != Must || c.Args[0].Kind != File {
			return errors.New("forks into no file")
		}
		return nil
	default:
		return nil
	}
	at := c.Args[0]
	if at.Kind != Data || at.Value+size > uint64(len(p.Data)) {
		return errors.New("reaches out of the data")
	}
	return nil
}
