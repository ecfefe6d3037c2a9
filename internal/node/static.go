package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mayfly-run/mayfly/internal/node/manifest"
	"github.com/mayfly-run/mayfly/internal/node/pod"
)

// mirrorRetry is how long to wait before the API is asked again for what it refused.
const mirrorRetry = 5 * time.Second

// source is where static Pods come from.
type source interface {
	Read(ctx context.Context) (map[types.NamespacedName]*corev1.Pod, error)
	Watch(ctx context.Context, changed func()) error
}

// statics brings static Pods, those that the directory of manifests asks for, and their mirrors in line with the
// directory. Whatever happens only wakes it; then it looks at the whole picture again.
type statics struct {
	pods *pods
	dir  source
	wake chan struct{}

	running map[types.NamespacedName]types.UID // also those that are ending

	mu      sync.Mutex
	mirrors map[types.NamespacedName]*corev1.Pod
}

func newStatics(cfg Config, p *pods) *statics {
	return &statics{
		pods: p, dir: &manifest.Directory{Path: cfg.StaticPods, Node: cfg.NodeName, Complete: cfg.CompleteStatic},
		wake: make(chan struct{}, 1), running: map[types.NamespacedName]types.UID{}, mirrors: map[types.NamespacedName]*corev1.Pod{},
	}
}

// mirrors tells whether the API's object shows a static Pod.
func mirrors(object *corev1.Pod) bool { return object.Annotations[corev1.MirrorPodAnnotationKey] != "" }

func nameOf(object *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
}

func (s *statics) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// observe takes over what the API's watch has seen of a mirror.
func (s *statics) observe(mirror *corev1.Pod) {
	s.mu.Lock()
	s.mirrors[nameOf(mirror)] = mirror
	s.mu.Unlock()
	s.wakeUp()
}

// lost notes that a mirror is no longer.
func (s *statics) lost(mirror *corev1.Pod) {
	s.mu.Lock()
	if have := s.mirrors[nameOf(mirror)]; have != nil && have.UID == mirror.UID {
		delete(s.mirrors, nameOf(mirror))
	}
	s.mu.Unlock()
	s.wakeUp()
}

func (s *statics) mirror(name types.NamespacedName) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mirrors[name]
}

// start lets the Workers run of all that the directory asks for now.
func (s *statics) start(ctx context.Context) {
	wanted, err := s.dir.Read(ctx)
	if err != nil {
		slog.WarnContext(ctx, "static pods are not known", "err", err)
		return
	}
	s.work(ctx, wanted)
}

// run keeps up with the directory and the mirrors until ctx ends.
func (s *statics) run(ctx context.Context) {
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		if err := s.dir.Watch(ctx, s.wakeUp); err != nil {
			slog.WarnContext(ctx, "static pods are not kept up with", "err", err)
		}
	})
	retry := time.NewTimer(0)
	defer retry.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry.C:
		}
		err := s.reconcile(ctx)
		if err == nil || ctx.Err() != nil {
			said = ""
			continue
		}
		if said != err.Error() {
			said = err.Error()
			slog.WarnContext(ctx, "static pods or their mirrors are not as they should be", "err", err)
		}
		retry.Reset(mirrorRetry)
	}
}

func (s *statics) reconcile(ctx context.Context) error {
	wanted, err := s.dir.Read(ctx)
	if err != nil {
		return err
	}
	s.work(ctx, wanted)
	s.mu.Lock()
	mirrors := maps.Clone(s.mirrors)
	s.mu.Unlock()
	var errs []error
	for name, mirror := range mirrors {
		uid := s.running[name]
		if w := s.pods.worker(uid); w != nil && mirror.Annotations[corev1.MirrorPodAnnotationKey] == string(uid) && mirror.DeletionTimestamp == nil {
			w.Mirror(ctx, mirror)
			continue
		}
		errs = append(errs, s.remove(ctx, mirror))
	}
	for name, object := range wanted {
		if s.mirror(name) == nil && s.running[name] == object.UID {
			errs = append(errs, s.create(ctx, object))
		}
	}
	return errors.Join(errs...)
}

// work lets the Workers of all static Pods run that are wanted, and of no others. A changed Pod starts when the former
// one of its name has ended, with its own grace.
func (s *statics) work(ctx context.Context, wanted map[types.NamespacedName]*corev1.Pod) {
	for name, uid := range s.running {
		w := s.pods.worker(uid)
		switch {
		case w == nil:
			delete(s.running, name)
		case wanted[name] == nil || wanted[name].UID != uid:
			w.Delete()
		}
	}
	for name, object := range wanted {
		if _, ok := s.running[name]; !ok && s.pods.startStatic(ctx, object, s.mirror(name)) {
			s.running[name] = object.UID
		}
	}
}

// startStatic starts a static Pod, unless an earlier one of the same UID is still ending.
func (p *pods) startStatic(ctx context.Context, object, mirror *corev1.Pod) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[object.UID] != nil {
		return false
	}
	if mirror != nil && mirror.Annotations[corev1.MirrorPodAnnotationKey] != string(object.UID) {
		mirror = nil
	}
	p.start(ctx, pod.NewStatic(p.node, object, mirror), object.UID)
	return true
}

// remove takes a mirror away that shows nothing, or that somebody has deleted: the node does not wait for itself.
func (s *statics) remove(ctx context.Context, mirror *corev1.Pod) error {
	now := int64(0)
	err := s.pods.agent.client.CoreV1().Pods(mirror.Namespace).Delete(ctx, mirror.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &mirror.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete mirror of static pod: %w", err)
	}
	s.lost(mirror)
	return nil
}

func (s *statics) create(ctx context.Context, object *corev1.Pod) error {
	client := s.pods.agent.client.CoreV1()
	node, err := client.Nodes().Get(ctx, s.pods.agent.cfg.NodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("mirror static pod: %w", err)
	}
	mirror, err := client.Pods(object.Namespace).Create(ctx, manifest.Mirror(object, node), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("mirror static pod %s/%s: %w", object.Namespace, object.Name, err)
	}
	s.observe(mirror)
	return nil
}
