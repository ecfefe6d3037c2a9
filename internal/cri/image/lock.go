package image

import (
	"context"
	"sync"
)

// keyLock is a lock per key, so that one layer that several pulls want is fetched and unpacked once. It is
// containerd's unpack.KeyedLocker. The zero value is ready.
type keyLock struct {
	mu   sync.Mutex
	held map[string]*keyHolder
}

type keyHolder struct {
	turn chan struct{}
	refs int
}

// Lock waits until key is free or ctx ends.
func (l *keyLock) Lock(ctx context.Context, key string) error {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*keyHolder{}
	}
	h := l.held[key]
	if h == nil {
		h = &keyHolder{turn: make(chan struct{}, 1)}
		l.held[key] = h
	}
	h.refs++
	l.mu.Unlock()
	select {
	case h.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.leave(key, h)
		return ctx.Err()
	}
}

// Unlock frees key.
func (l *keyLock) Unlock(key string) {
	l.mu.Lock()
	h := l.held[key]
	l.mu.Unlock()
	<-h.turn
	l.leave(key, h)
}

func (l *keyLock) leave(key string, h *keyHolder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.refs--; h.refs == 0 {
		delete(l.held, key)
	}
}

// flight is one pull that several callers wait for.
type flight struct {
	done    chan struct{}
	stop    context.CancelFunc
	waiting int
	id      string
	err     error

	mu       sync.Mutex
	watchers map[int]func(Progress)
	next     int
}

func (f *flight) report(p Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watch := range f.watchers {
		watch(p)
	}
}

// watch calls progress for every step until the returned function is called, and never after.
func (f *flight) watch(progress func(Progress)) (unwatch func()) {
	if progress == nil {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers == nil {
		f.watchers = map[int]func(Progress){}
	}
	n := f.next
	f.next++
	f.watchers[n] = progress
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, n)
	}
}

// flights are the pulls under way, by what distinguishes them. The zero value is ready.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

// do runs work, or joins the one that runs for the same key. The work goes on until the last of its callers leaves.
func (fs *flights) do(ctx context.Context, key string, progress func(Progress), work func(context.Context, *flight) (string, error)) (string, error) {
	fs.mu.Lock()
	f := fs.byKey[key]
	if f == nil {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{done: make(chan struct{}), stop: stop}
		if fs.byKey == nil {
			fs.byKey = map[string]*flight{}
		}
		fs.byKey[key] = f
		go func() {
			defer stop()
			f.id, f.err = work(running, f)
			fs.mu.Lock()
			if fs.byKey[key] == f {
				delete(fs.byKey, key)
			}
			fs.mu.Unlock()
			close(f.done)
		}()
	}
	f.waiting++
	fs.mu.Unlock()
	defer f.watch(progress)()
	select {
	case <-f.done:
		return f.id, f.err
	case <-ctx.Done():
		fs.leave(key, f)
		return "", ctx.Err()
	}
}

func (fs *flights) leave(key string, f *flight) {
	fs.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && fs.byKey[key] == f {
		delete(fs.byKey, key)
	}
	fs.mu.Unlock()
	if last {
		f.stop()
		<-f.done
	}
}
