package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/mayfly-run/mayfly/internal/node/pod"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
)

// pods holds a Worker for every Pod that the API or the runtime knows on this node.
type pods struct {
	agent *Agent
	node  *pod.Node

	statics *statics

	mu      sync.Mutex
	workers map[types.UID]*pod.Worker
	all     sync.WaitGroup

	unweighed chan struct{}
}

func newPods(a *Agent) *pods {
	p := &pods{agent: a, workers: map[types.UID]*pod.Worker{}, unweighed: make(chan struct{}, 1)}
	p.statics = newStatics(a.cfg, p)
	return p
}

// run follows the API's watch and the runtime's events until ctx ends and all Workers have stopped.
func (p *pods) run(ctx context.Context, synced func()) error {
	defer p.all.Wait()
	selector := fields.OneTermEqualSelector("spec.nodeName", p.agent.cfg.NodeName)
	informer := coreinformers.NewFilteredPodInformer(p.agent.client, corev1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.FieldSelector = selector.String() })
	if err := informer.SetTransform(slim); err != nil {
		return fmt.Errorf("prepare pod watch: %w", err)
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { p.upsert(ctx, object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { p.upsert(ctx, object.(*corev1.Pod)) },
		DeleteFunc: func(object any) { p.deleted(object) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { informer.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	p.statics.start(ctx)
	if err := p.adopt(ctx); err != nil {
		return err
	}
	parts.Go(func() { p.statics.run(ctx) })
	parts.Go(func() { p.keepWeighed(ctx) })
	synced()
	p.agent.runtime.Watch(ctx, func(uid types.UID, n runtime.News) { p.changed(ctx, uid, n) })
	return nil
}

// slim drops what the node does not need of a Pod.
func slim(object any) (any, error) {
	if p, ok := object.(*corev1.Pod); ok {
		p.ManagedFields = nil
	}
	return object, nil
}

func (p *pods) upsert(ctx context.Context, object *corev1.Pod) {
	if mirrors(object) {
		p.statics.observe(object)
		return
	}
	p.weigh()
	p.mu.Lock()
	w := p.workers[object.UID]
	if w == nil {
		p.start(ctx, pod.New(p.node, object), object.UID)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	w.Update(object)
}

// start lets a Worker run. Called with mu held.
func (p *pods) start(ctx context.Context, w *pod.Worker, uid types.UID) {
	p.workers[uid] = w
	p.all.Go(func() {
		if !w.Run(ctx) {
			return
		}
		p.agent.objects.forget(string(uid))
		p.node.Images.Forget(uid)
		p.node.Users.Release(uid)
		p.mu.Lock()
		delete(p.workers, uid)
		p.mu.Unlock()
		p.statics.wakeUp()
		p.freed()
		p.weigh()
	})
}

func (p *pods) deleted(object any) {
	if lost, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = lost.Obj
	}
	gone, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if mirrors(gone) {
		p.statics.lost(gone)
		return
	}
	if w := p.worker(gone.UID); w != nil {
		w.Update(gone)
		w.Delete()
	}
}

// changed wakes the Pod's Worker. The runtime may know Pods that the API does not: those end.
func (p *pods) changed(ctx context.Context, uid types.UID, n runtime.News) {
	if w := p.worker(uid); w != nil {
		w.Changed(n)
		return
	}
	rt, err := p.agent.runtime.Pod(ctx, uid, nil)
	if err != nil || len(rt.Sandboxes)+len(rt.Containers) == 0 {
		return
	}
	p.end(ctx, types.NamespacedName{Namespace: rt.Namespace, Name: rt.Name}, uid)
}

// end removes a Pod that the API does not know.
func (p *pods) end(ctx context.Context, name types.NamespacedName, uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[uid] != nil {
		return
	}
	slog.InfoContext(ctx, "removing a pod that the API does not know", "namespace", name.Namespace, "pod", name.Name, "uid", uid)
	stranger := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name.Name, Namespace: name.Namespace, UID: uid}}
	w := pod.New(p.node, stranger)
	w.Delete()
	p.start(ctx, w, uid)
}

// adopt ends, after the first list, all Pods that were deleted while no agent was running, and clears their files.
func (p *pods) adopt(ctx context.Context) error {
	strangers, err := p.agent.runtime.UIDs(ctx)
	if err != nil {
		return err
	}
	for uid, name := range strangers {
		p.end(ctx, name, uid)
	}
	left, err := p.node.Volumes.UIDs()
	if err != nil {
		return err
	}
	for _, uid := range left {
		if p.worker(uid) == nil {
			if err := p.node.Volumes.Remove(uid); err != nil {
				slog.WarnContext(ctx, "volumes of a former pod remain", "uid", uid, "err", err)
				continue
			}
			p.node.Users.Release(uid)
		}
	}
	logs, err := os.ReadDir(p.agent.cfg.LogDir)
	if err != nil {
		return fmt.Errorf("read log directory: %w", err)
	}
	for _, e := range logs {
		if _, uid, ok := cutLast(e.Name(), "_"); ok && p.worker(types.UID(uid)) == nil {
			if err := os.RemoveAll(filepath.Join(p.agent.cfg.LogDir, e.Name())); err != nil {
				slog.WarnContext(ctx, "logs of a former pod remain", "uid", uid, "err", err)
			}
		}
	}
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (p *pods) worker(uid types.UID) *pod.Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers[uid]
}

// Find returns the Worker of the named Pod, or nil. A Pod that is not being deleted comes first.
func (p *pods) Find(namespace, name string) *pod.Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found *pod.Worker
	for _, w := range p.workers {
		object := w.Pod()
		if object.Namespace == namespace && object.Name == name && (found == nil || object.DeletionTimestamp == nil) {
			found = w
		}
	}
	return found
}

// claimed is what all Pods but one take of the node together.
func (p *pods) claimed(except types.UID) corev1.ResourceList {
	total := corev1.ResourceList{}
	for _, w := range p.List() {
		if w.Pod().UID == except {
			continue
		}
		for name, amount := range w.Claims() {
			sum := total[name]
			sum.Add(amount)
			total[name] = sum
		}
	}
	return total
}

// freed has all Workers look again that wait for room.
func (p *pods) freed() {
	for _, w := range p.List() {
		w.RoomFreed()
	}
}

// List returns all Workers.
func (p *pods) List() []*pod.Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*pod.Worker, 0, len(p.workers))
	for _, w := range p.workers {
		out = append(out, w)
	}
	return out
}
