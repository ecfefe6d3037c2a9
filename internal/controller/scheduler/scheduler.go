// Package scheduler chooses a node for each Pod that has none, and binds it there.
//
// It looks at one Pod at a time, at once on the watch's event: which nodes pass every filter (fit.go, interpod.go,
// spread.go), which of those is best (score.go). A Pod that fits nowhere gets the condition PodScheduled=False and an
// event that says why, and is tried again when something changes that may help it: a node, or a Pod that goes away.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/mayfly-run/mayfly/internal/controller/podindex"
	"github.com/mayfly-run/mayfly/internal/controller/work"
)

// bindings is how many Pods are bound at once at most.
const bindings = 16

// Config is what the scheduler needs.
type Config struct {
	Client     kubernetes.Interface
	Recorder   record.EventRecorder
	Pods       coreinformers.PodInformer
	Nodes      coreinformers.NodeInformer
	Namespaces coreinformers.NamespaceInformer
}

// Scheduler binds Pods that name it, or nobody, as their scheduler.
type Scheduler struct {
	client     kubernetes.Interface
	recorder   record.EventRecorder
	pods       corelisters.PodLister
	podIndex   cache.Indexer
	nodes      corelisters.NodeLister
	namespaces corelisters.NamespaceLister
	queue      *work.Queue
	choosing   sync.Mutex

	mu sync.Mutex
	// assumed are the Pods that were bound and whose binding the cache does not show yet.
	assumed map[types.UID]*corev1.Pod
	// waiting are the keys of the Pods that fitted nowhere.
	waiting map[string]struct{}
}

// New returns the scheduler.
func New(cfg Config) (*Scheduler, error) {
	s := &Scheduler{
		client: cfg.Client, recorder: cfg.Recorder,
		pods: cfg.Pods.Lister(), podIndex: cfg.Pods.Informer().GetIndexer(),
		nodes: cfg.Nodes.Lister(), namespaces: cfg.Namespaces.Lister(),
		assumed: map[types.UID]*corev1.Pod{}, waiting: map[string]struct{}{},
	}
	s.queue = work.New(work.Config{Name: "scheduler", Workers: bindings, Do: s.schedule})
	if err := podindex.Add(cfg.Pods.Informer()); err != nil {
		return nil, err
	}
	if _, err := cfg.Pods.Informer().AddEventHandler(s.podHandler()); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	if _, err := cfg.Nodes.Informer().AddEventHandler(s.nodeHandler()); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	if _, err := cfg.Namespaces.Informer().AddEventHandler(s.namespaceHandler()); err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	return s, nil
}

// Run works until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error { return s.queue.Run(ctx) }

// schedule finds a node for one Pod, and binds it there.
func (s *Scheduler) schedule(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key of pod: %w", err)
	}
	pod, err := s.pods.Pods(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		s.forget(key)
		return nil
	}
	if err != nil {
		return fmt.Errorf("get pod: %w", err)
	}
	if !wantsNode(pod) || s.isAssumed(pod.UID) {
		s.forget(key)
		return nil
	}
	node, verdict, err := s.choose(pod, key)
	if err != nil {
		return err
	}
	if node == "" {
		return s.reportUnschedulable(ctx, pod, verdict.message())
	}
	return s.bind(ctx, pod, node)
}

// choose finds a node and assumes the Pod to be there until the cache says so, or the server refuses. One Pod is looked at
// after the other, so that each sees where those before it go; the server is told of several at once.
func (s *Scheduler) choose(pod *corev1.Pod, key string) (node string, v *verdict, err error) {
	s.choosing.Lock()
	defer s.choosing.Unlock()
	// Marked before the look around: whatever changes from here on tries the Pod again.
	s.wait(key)
	c, err := s.snapshot()
	if err != nil {
		return "", nil, err
	}
	if node, v = c.place(pod); node != "" {
		s.assume(pod, node)
		s.forget(key)
	}
	return node, v, nil
}

// bind tells the server where the Pod is to run.
func (s *Scheduler) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	err := s.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	if err == nil {
		s.recorder.Eventf(pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)
		return nil
	}
	s.unassume(pod.UID)
	if apierrors.IsNotFound(err) || ctx.Err() != nil {
		return nil
	}
	if apierrors.IsConflict(err) {
		// Deleted, changed or bound by somebody else: the watch will tell, and the retry finds out.
		return fmt.Errorf("bind pod: %w", err)
	}
	message := fmt.Sprintf("binding rejected: %v", err)
	return errors.Join(fmt.Errorf("bind pod: %w", err), s.reportUnschedulable(ctx, pod, message))
}
