package main

import (
	"fmt"

	"github.com/mayfly-run/mayfly/internal/launch/wire"
	"golang.org/x/sys/unix"
)

// buffers are what the loop works with. Pages that nobody has touched take no memory, which Go's heap cannot promise:
// it clears what it hands out again.
type buffers struct {
	all         []byte
	stream      []byte // what was read from a stream
	lines       []byte // what goes into a log; empty, of this capacity
	packet, oob []byte // a request, valid while it is served
}

const (
	// pipeSize is what a pipe holds, and so as much as one read gives.
	pipeSize = 64 << 10
	// linesSize takes a read's worth of long lines; many short ones are written in several pieces.
	linesSize = pipeSize + 4<<10
)

func newBuffers() (buffers, error) {
	oobSize := unix.CmsgSpace(4 * wire.MaxFiles)
	all, err := unix.Mmap(-1, 0, pipeSize+linesSize+wire.MaxMessage+oobSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return buffers{}, fmt.Errorf("map buffers: %w", err)
	}
	b := buffers{all: all}
	rest := all
	take := func(n int) (part []byte) {
		part, rest = rest[:n:n], rest[n:]
		return part
	}
	b.stream, b.lines, b.packet, b.oob = take(pipeSize), take(linesSize)[:0], take(wire.MaxMessage), take(oobSize)
	return b, nil
}

// free gives back what was touched.
func (b *buffers) free() { _ = unix.Madvise(b.all, unix.MADV_DONTNEED) }
