package pod

import (
	"sync"
	"time"
)

// eventDelay is how long the events of a start that goes well wait, so that the API server does not write them just
// when the status is due that somebody waits for.
const eventDelay = 25 * time.Millisecond

// later keeps events in order until it is time for them.
type later struct {
	mu     sync.Mutex
	events []func()
}

func (l *later) add(event func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
}

func (l *later) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, record := range l.events {
		record()
	}
	l.events = nil
}

// flushSoon flushes after the delay, or now.
func (l *later) flushSoon(now bool) {
	if now {
		l.flush()
		return
	}
	time.AfterFunc(eventDelay, l.flush)
}
