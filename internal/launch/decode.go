package launch

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
)

// Code is a program as it was encoded, which holds together. A monitor runs it as it is, one call read after the other:
// decoded, it would be most of what the monitor has of memory.
type Code struct {
	frame         Program // without relocations and calls
	relocs, calls wire.Reader
	nrelocs       int
	ncalls        int
	forks         int
}

// Decode takes what MarshalBinary gave and refuses all that Validate does. The code refers to b.
func Decode(b []byte) (Code, error) {
	r := wire.NewReader(b)
	if v := r.U8(); r.Err() == nil && v != version {
		return Code{}, fmt.Errorf("%w: version %d", ErrProgram, v)
	}
	c := Code{frame: Program{
		Spawn: Spawn{Flags: r.U64(), Cgroup: int(r.I64()), PIDs: int(r.I64())},
		Files: int(r.U32()), Slots: int(r.U32()), Data: r.Bytes(MaxData),
	}}
	c.nrelocs = r.Len(MaxData/8, relocSize)
	c.relocs = *r
	r.Skip(c.nrelocs * relocSize)
	c.ncalls = r.Len(MaxCalls, 10)
	c.calls = *r
	if err := r.Err(); err != nil {
		return Code{}, fmt.Errorf("%w: %w", ErrProgram, err)
	}
	return c, c.check()
}

// Files is the number of descriptors that must travel with the program.
func (c *Code) Files() int { return c.frame.Files }

func (c *Code) check() error {
	if err := c.frame.validateFrame(c.ncalls); err != nil {
		return err
	}
	for r := range c.eachReloc {
		if err := c.frame.validateReloc(r); err != nil {
			return err
		}
	}
	r, call := c.calls, Call{}
	for i := range c.ncalls {
		call.decode(&r)
		if err := c.frame.validateCall(&call, c.ncalls-i-1, &c.forks); err != nil {
			return fmt.Errorf("%w: call %d: %w", ErrProgram, i, err)
		}
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("%w: %w", ErrProgram, err)
	}
	return nil
}

const relocSize = 8

func (c *Code) eachReloc(yield func(Reloc) bool) {
	r := c.relocs
	for range c.nrelocs {
		if !yield(Reloc{At: r.U32(), Target: r.U32()}) {
			return
		}
	}
}

// eachCall gives each call in the same place.
func (c *Code) eachCall(yield func(int, *Call) bool) {
	r, call := c.calls, Call{}
	for i := range c.ncalls {
		if call.decode(&r); !yield(i, &call) {
			return
		}
	}
}

func (c *Call) decode(r *wire.Reader) {
	*c = Call{Nr: r.U32(), Policy: Policy(r.U8()), Skip: r.U16(), Slot: r.U16()}
	n := int(r.U8())
	if n > len(c.Args) {
		r.Fail()
		return
	}
	for i := range n {
		c.Args[i] = Arg{Kind: Kind(r.U8()), Value: r.U64()}
	}
}
