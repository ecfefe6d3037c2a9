package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// maxCached bounds a cache: nearly all containers of a host share the runtime's default profile.
const maxCached = 64

// Cache remembers compiled profiles by their content. The zero value is ready; a nil one
// remembers nothing. It is safe for concurrent use.
type Cache struct {
	mu      sync.Mutex
	filters map[[sha256.Size]byte]*Filter
}

// Compile is as [Compile], but for filters that are shared and must not be changed.
func (c *Cache) Compile(profile *specs.LinuxSeccomp) (*Filter, error) {
	if c == nil || profile == nil {
		return Compile(profile)
	}
	key := digest(profile)
	c.mu.Lock()
	filter, ok := c.filters[key]
	c.mu.Unlock()
	if ok {
		return filter, nil
	}
	filter, err := Compile(profile)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.filters == nil || len(c.filters) >= maxCached {
		c.filters = map[[sha256.Size]byte]*Filter{}
	}
	c.filters[key] = filter
	return filter, nil
}

// digest tells profiles apart by all that Compile looks at. Every text and list has its
// length before it, so that no two profiles give the same bytes.
func digest(p *specs.LinuxSeccomp) [sha256.Size]byte {
	b := make([]byte, 0, 16<<10)
	number := func(v uint64) { b = binary.AppendUvarint(b, v) }
	text := func(s string) {
		number(uint64(len(s)))
		b = append(b, s...)
	}
	errno := func(v *uint) {
		if v == nil {
			number(0)
			return
		}
		number(1)
		number(uint64(*v))
	}
	text(string(p.DefaultAction))
	errno(p.DefaultErrnoRet)
	number(uint64(len(p.Architectures)))
	for _, a := range p.Architectures {
		text(string(a))
	}
	number(uint64(len(p.Flags)))
	for _, f := range p.Flags {
		text(string(f))
	}
	text(p.ListenerPath)
	number(uint64(len(p.Syscalls)))
	for _, s := range p.Syscalls {
		text(string(s.Action))
		errno(s.ErrnoRet)
		number(uint64(len(s.Names)))
		for _, name := range s.Names {
			text(name)
		}
		number(uint64(len(s.Args)))
		for _, a := range s.Args {
			number(uint64(a.Index))
			number(a.Value)
			number(a.ValueTwo)
			text(string(a.Op))
		}
	}
	return sha256.Sum256(b)
}
