package monitor

import (
	"context"
	"sync"
)

// subscription queues events without limit, so that nobody waits for a slow reader.
type subscription struct {
	mu    sync.Mutex
	queue []Event
	ended bool
	bell  chan struct{}
}

// Events gives state changes from now on; the channel closes when ctx ends or the
// connection breaks (see Done). Events wait for the reader.
func (c *Client) Events(ctx context.Context) <-chan Event {
	s := &subscription{bell: make(chan struct{}, 1)}
	out := make(chan Event)
	c.mu.Lock()
	if c.closed {
		s.ended = true
	} else {
		c.events[s] = struct{}{}
	}
	c.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			c.mu.Lock()
			delete(c.events, s)
			c.mu.Unlock()
		}()
		s.pump(ctx, out)
	}()
	return out
}

func (s *subscription) pump(ctx context.Context, out chan<- Event) {
	for {
		s.mu.Lock()
		queue, ended := s.queue, s.ended
		s.queue = nil
		s.mu.Unlock()
		for _, e := range queue {
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
		}
		if ended {
			return
		}
		select {
		case <-s.bell:
		case <-ctx.Done():
			return
		}
	}
}

func (s *subscription) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

func (s *subscription) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.ring()
}

func (c *Client) publish(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.events {
		s.mu.Lock()
		s.queue = append(s.queue, e)
		s.mu.Unlock()
		s.ring()
	}
}
