// Package trial runs controllers against an API of their own in tests: client-go's fake, made to do what the API
// server does and controllers rely on — UIDs, generated names, bindings.
package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mayfly-run/mayfly/internal/informer"
)

// patience is for machines under load; nothing is slow by itself.
const patience = 30 * time.Second

// Trial is one fake API.
type Trial struct {
	Client    *fake.Clientset
	Informers *informer.Factory
	Events    *Recorder
	// ctx is the informers', which outlive the controllers.
	ctx context.Context //nolint:containedctx // It is the life of the trial itself.
}

// New returns an API that holds the objects.
func New(t *testing.T, objects ...runtime.Object) *Trial {
	t.Helper()
	client := fake.NewClientset(objects...)
	count := &counter{}
	client.PrependReactor("create", "*", identify(count))
	client.PrependReactor("update", "*", update(client, count))
	client.PrependReactor("create", "pods", bind(client))
	// context.Background, for t.Context ends before the controllers are stopped.
	ctx, cancel := context.WithCancel(context.Background())
	tr := &Trial{Client: client, Informers: informer.NewFactory(informer.Config{Client: client}), Events: &Recorder{}, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		tr.Informers.Shutdown()
	})
	return tr
}

// bind carries out bindings.
func bind(client *fake.Clientset) clienttesting.ReactionFunc {
	return func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "binding" {
			return false, nil, nil
		}
		create, ok := action.(clienttesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		binding, ok := create.GetObject().(*corev1.Binding)
		if !ok {
			return false, nil, nil
		}
		obj, err := client.Tracker().Get(action.GetResource(), binding.Namespace, binding.Name)
		if err != nil {
			return true, nil, err
		}
		pod, ok := obj.DeepCopyObject().(*corev1.Pod)
		if !ok {
			return true, nil, fmt.Errorf("%T is no pod", obj)
		}
		pod.Spec.NodeName = binding.Target.Name
		return true, binding, client.Tracker().Update(action.GetResource(), pod, binding.Namespace)
	}
}

// Run runs a controller until the test ends, and demands that it stops then.
func (tr *Trial) Run(t *testing.T, run func(context.Context) error) {
	t.Helper()
	tr.Informers.StartWithContext(tr.ctx)
	tr.Informers.WaitForCacheSyncWithContext(tr.ctx)
	ctx, cancel := context.WithCancel(tr.ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not stop")
		}
	})
}

// Eventually waits until the condition holds, and fails the test when it never does.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// Recorder keeps events as lines of "Type Reason message".
type Recorder struct {
	mu    sync.Mutex
	lines []string
}

// Event is part of record.EventRecorder.
func (r *Recorder) Event(_ runtime.Object, kind, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, kind+" "+reason+" "+message)
}

// Eventf is part of record.EventRecorder.
func (r *Recorder) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	r.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

// AnnotatedEventf is part of record.EventRecorder.
func (r *Recorder) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	r.Eventf(o, kind, reason, format, args...)
}

// Has tells whether an event with the text was recorded.
func (r *Recorder) Has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.lines, func(l string) bool { return strings.Contains(l, text) })
}
