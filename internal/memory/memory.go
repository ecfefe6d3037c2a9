// Package memory keeps the daemon's memory near what it needs: it tells Go's collector how much garbage may lie about,
// and gives back to the machine what a burst of work has taken, once that is over.
package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// policy is how much memory is good for what. Sizes are bytes.
type policy struct {
	// Garbage may be so many percent of what is in use. A small heap would be collected all the time, and saves a tenth
	// of all work by waiting; with a large one the memory that it has to be given meanwhile costs more than that.
	smallPercent, largePercent int
	// large is from where on a heap is.
	large uint64
	// spare beyond what is in use is given back at rest. A fresh daemon never has as much, so that the first request
	// after a pause need not ask for it again.
	spare uint64
	// rest is how long no collection was needed: work brings one about much sooner.
	rest time.Duration
}

// Tend works until ctx ends.
func Tend(ctx context.Context) {
	policy{smallPercent: 200, largePercent: 100, large: 48 << 20, spare: 80 << 20, rest: 500 * time.Millisecond}.tend(ctx)
}

func (p policy) tend(ctx context.Context) {
	current := p.smallPercent
	debug.SetGCPercent(current)
	collected := make(chan struct{}, 1)
	notify(ctx, collected)
	rest := time.NewTimer(p.rest)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected:
			if want := p.percent(read()); want != current {
				debug.SetGCPercent(want)
				current = want
			}
			rest.Reset(p.rest)
		case <-rest.C:
			if p.excessive(read()) {
				debug.FreeOSMemory()
			}
		}
	}
}

func (p policy) percent(u usage) int {
	if u.live < p.large {
		return p.smallPercent
	}
	return p.largePercent
}

func (p policy) excessive(u usage) bool { return u.held > u.live+p.spare }

// notify tells of every collection: an object that nobody refers to lives until the next one.
func notify(ctx context.Context, collected chan<- struct{}) {
	type marker struct{ self *marker } // with a pointer, so that it shares its memory with nothing
	runtime.AddCleanup(new(marker), func(collected chan<- struct{}) {
		if ctx.Err() != nil {
			return
		}
		select {
		case collected <- struct{}{}:
		default: // told already
		}
		notify(ctx, collected)
	}, collected)
}

// usage is how many bytes of the heap were in use at the last collection, and how many the process holds.
type usage struct{ live, held uint64 }

func read() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	u := usage{live: samples[0].Value.Uint64()}
	for _, s := range samples[1:] {
		u.held += s.Value.Uint64()
	}
	return u
}
