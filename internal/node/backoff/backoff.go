// Package backoff doubles the pause before something that fails is tried again, and forgets after long quiet.
package backoff

import (
	"sync"
	"time"
)

// Backoff keeps one pause per key. It is safe for concurrent use.
type Backoff struct {
	first, max time.Duration

	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	pause time.Duration
	at    time.Time
}

// New returns a Backoff that begins with first, doubles up to max, and begins anew after 2×max without a failure:
// the kubelet's 10 s, 5 min and 10 min.
func New(first, most time.Duration) *Backoff {
	return &Backoff{first: first, max: most, entries: map[string]entry{}}
}

// Next lengthens the key's pause, and tells it.
func (b *Backoff) Next(key string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entries[key]
	switch {
	case !ok, now.Sub(e.at) > 2*b.max:
		e.pause = b.first
	default:
		e.pause = min(2*e.pause, b.max)
	}
	e.at = now
	b.entries[key] = e
	return e.pause
}

// Recall gives the key a pause that it had earned at a time before, unless something is known of it.
func (b *Backoff) Recall(key string, pause time.Duration, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.entries[key]; !ok {
		b.entries[key] = entry{pause: pause, at: at}
	}
}

// Pause is the key's present pause, 0 if it has none. A pause counts from the moment since, and a key whose last
// failure was more than 2×max before since has none.
func (b *Backoff) Pause(key string, since time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entries[key]
	if !ok || since.Sub(e.at) > 2*b.max {
		return 0
	}
	return e.pause
}

// Remaining says how much of the key's pause, counted from its last failure, is left.
func (b *Backoff) Remaining(key string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entries[key]
	if !ok {
		return 0
	}
	return max(0, e.at.Add(e.pause).Sub(now))
}

// Forget ends the key's pause.
func (b *Backoff) Forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
}
