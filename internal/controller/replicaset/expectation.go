package replicaset

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// expectationLife is how long a creation or deletion is awaited: by then its watch event was lost for good.
const expectationLife = 5 * time.Minute

// expectations are the creations and deletions that a controller has done and its cache does not show yet. Until it
// does, counting the cached Pods would do the same again.
type expectations struct {
	mu    sync.Mutex
	byKey map[string]*expectation
}

type expectation struct {
	creations int
	deletions map[types.UID]bool
	since     time.Time
}

func newExpectations() *expectations { return &expectations{byKey: map[string]*expectation{}} }

// settled tells whether nothing is awaited for key.
func (e *expectations) settled(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.byKey[key]
	return x == nil || x.creations <= 0 && len(x.deletions) == 0 || time.Since(x.since) > expectationLife
}

func (e *expectations) expect(key string, creations int, deletions ...types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := &expectation{creations: creations, deletions: map[types.UID]bool{}, since: time.Now()}
	for _, uid := range deletions {
		x.deletions[uid] = true
	}
	e.byKey[key] = x
}

// created notes one creation that is seen, or that will never be because it did not happen.
func (e *expectations) created(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.byKey[key]; x != nil {
		x.creations--
	}
}

// deleted notes one deletion that is seen, or that did not happen.
func (e *expectations) deleted(key string, uid types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.byKey[key]; x != nil {
		delete(x.deletions, uid)
	}
}

func (e *expectations) forget(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byKey, key)
}
