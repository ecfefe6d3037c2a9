package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// TestTend makes the heap large, lets go of more, and waits for what has to follow: a test that hangs has failed.
func TestTend(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	p := policy{smallPercent: 300, largePercent: 50, large: 8 << 20, spare: 4 << 20, rest: time.Millisecond}
	kept, burst := make([]byte, 2*p.large), make([]byte, 4*p.spare)
	held := read().held
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.tend(ctx)
	}()
	runtime.KeepAlive(burst)
	burst = nil
	runtime.GC()
	for read().held > held-3*p.spare || gcPercent() != p.largePercent {
		runtime.Gosched()
	}
	runtime.KeepAlive(kept)
	cancel()
	<-done
}

func gcPercent() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}

func TestPolicy(t *testing.T) {
	p := policy{smallPercent: 200, largePercent: 100, large: 48, spare: 80}
	for name, test := range map[string]struct {
		usage     usage
		percent   int
		excessive bool
	}{
		"small":          {usage{live: 25, held: 100}, 200, false},
		"large":          {usage{live: 70, held: 140}, 100, false},
		"after a burst":  {usage{live: 70, held: 220}, 100, true},
		"less than live": {usage{live: 70, held: 60}, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.percent(test.usage); got != test.percent {
				t.Errorf("percent is %d", got)
			}
			if got := p.excessive(test.usage); got != test.excessive {
				t.Errorf("excessive is %v", got)
			}
		})
	}
}
