// Package work runs one function per key of a queue: what every controller is at heart.
//
// Informers' handlers add keys, workers take them. A key is never worked on twice at once; a key that is added while
// it is worked on is worked on again; a key whose work gives an error is tried again later, ever more slowly.
package work

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
	// loudRetries is how often a key may fail before it is worth a warning: conflicts and caches that lag mend
	// themselves before.
	loudRetries = 4
)

// Config says what a Queue does.
type Config struct {
	// Name is the controller's name in logs.
	Name string
	// Workers is how many keys are worked on at once; 1 when zero.
	Workers int
	// Do works on one key, of the form "namespace/name" or "name". It must be idempotent.
	Do func(ctx context.Context, key string) error
}

// Queue is a set of keys that wait to be worked on.
type Queue struct {
	cfg     Config
	waiting workqueue.TypedRateLimitingInterface[string]
}

// New returns a queue that takes keys at once and works on them when it runs.
func New(cfg Config) *Queue {
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &Queue{cfg: cfg, waiting: workqueue.NewTypedRateLimitingQueue(limiter)}
}

// Add asks for work on key.
func (q *Queue) Add(key string) { q.waiting.Add(key) }

// AddAfter asks for work on key after a while.
func (q *Queue) AddAfter(key string, after time.Duration) { q.waiting.AddAfter(key, after) }

// AddObject asks for work on an object as informers hand it over, tombstones included.
func (q *Queue) AddObject(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		slog.Error("key of object", "controller", q.cfg.Name, "err", err)
		return
	}
	q.Add(key)
}

// Handler adds every object that an informer tells of.
func (q *Queue) Handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    q.AddObject,
		UpdateFunc: func(_, obj any) { q.AddObject(obj) },
		DeleteFunc: q.AddObject,
	}
}

// Run works until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range q.cfg.Workers {
		workers.Go(func() {
			for q.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	q.waiting.ShutDown()
	workers.Wait()
	return nil
}

func (q *Queue) next(ctx context.Context) bool {
	key, shutdown := q.waiting.Get()
	if shutdown || ctx.Err() != nil {
		return false
	}
	defer q.waiting.Done(key)
	err := q.do(ctx, key)
	switch {
	case err == nil:
		q.waiting.Forget(key)
	case ctx.Err() != nil:
		return false
	default:
		q.retry(ctx, key, err)
	}
	return true
}

// do keeps one key's panic from ending the program: the other keys' work goes on.
func (q *Queue) do(ctx context.Context, key string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			slog.ErrorContext(ctx, "controller panicked", "controller", q.cfg.Name, "key", key, "err", err)
		}
	}()
	return q.cfg.Do(ctx, key)
}

func (q *Queue) retry(ctx context.Context, key string, err error) {
	level := slog.LevelDebug
	if !apierrors.IsConflict(err) && q.waiting.NumRequeues(key) >= loudRetries {
		level = slog.LevelWarn
	}
	slog.Log(ctx, level, "controller tries again", "controller", q.cfg.Name, "key", key, "err", err)
	q.waiting.AddRateLimited(key)
}
