// Package informer makes shared informers of the kinds that Mayfly serves. client-go's own factory links the informers
// of every kind in every version that there ever was, 15,000 functions of which three quarters are for kinds that no
// server of ours has.
package informer

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Config of a [Factory].
type Config struct {
	Client kubernetes.Interface
	// Transform changes each object before it is cached; nil for not at all.
	Transform cache.TransformFunc
	// Tweak narrows what is listed and watched; nil for everything.
	Tweak func(*metav1.ListOptions)
}

// Factory is client-go's for the groups and versions that have a method in group.go. Those that the embedded interface
// lends are there for the type alone: calling one panics.
type Factory struct {
	informers.SharedInformerFactory
	cfg Config

	mu      sync.Mutex
	all     map[reflect.Type]cache.SharedIndexInformer
	started map[reflect.Type]cache.SharedIndexInformer
	running sync.WaitGroup
	closed  bool
}

// NewFactory makes a factory without informers: each comes to be when it is first asked for.
func NewFactory(cfg Config) *Factory {
	return &Factory{cfg: cfg, all: map[reflect.Type]cache.SharedIndexInformer{}, started: map[reflect.Type]cache.SharedIndexInformer{}}
}

// InformerFor implements [internalinterfaces.SharedInformerFactory].
func (f *Factory) InformerFor(kind runtime.Object, make internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := reflect.TypeOf(kind)
	if informer, ok := f.all[t]; ok {
		return informer
	}
	const noResync = time.Duration(0)
	informer := make(f.cfg.Client, noResync)
	if f.cfg.Transform != nil {
		_ = informer.SetTransform(f.cfg.Transform) // which fails for informers that run
	}
	f.all[t] = informer
	return informer
}

// InformerName implements [internalinterfaces.SharedInformerFactory]: informers have no names in metrics.
func (f *Factory) InformerName() *cache.InformerName { return nil }

// ForResource knows no kind by its name alone. Who asks must have another way, as admission policies do.
func (f *Factory) ForResource(r schema.GroupVersionResource) (informers.GenericInformer, error) {
	return nil, fmt.Errorf("no shared informer of %s by name", r)
}

// Start implements [informers.SharedInformerFactory].
func (f *Factory) Start(stop <-chan struct{}) { f.StartWithContext(wait.ContextForChannel(stop)) }

// StartWithContext runs the informers that do not run yet, until ctx ends.
func (f *Factory) StartWithContext(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, informer := range f.all {
		if f.started[t] == nil && !f.closed {
			f.started[t] = informer
			f.running.Go(func() { informer.RunWithContext(ctx) })
		}
	}
}

// Shutdown starts nothing any more, and waits until all that runs has ended with its context.
func (f *Factory) Shutdown() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.running.Wait()
}

// WaitForCacheSync implements [informers.SharedInformerFactory].
func (f *Factory) WaitForCacheSync(stop <-chan struct{}) map[reflect.Type]bool {
	return f.WaitForCacheSyncWithContext(wait.ContextForChannel(stop)).Synced
}

// WaitForCacheSyncWithContext waits until every informer that was started has all there is, or ctx ends.
func (f *Factory) WaitForCacheSyncWithContext(ctx context.Context) cache.SyncResult {
	f.mu.Lock()
	started := maps.Clone(f.started)
	f.mu.Unlock()
	var checks []cache.DoneChecker
	for _, informer := range started {
		checks = append(checks, informer.HasSyncedChecker())
	}
	cache.WaitFor(ctx, "", checks...)
	result := cache.SyncResult{Synced: map[reflect.Type]bool{}}
	for t, informer := range started {
		result.Synced[t] = informer.HasSynced()
		if !result.Synced[t] {
			result.Err = context.Cause(ctx)
		}
	}
	return result
}
