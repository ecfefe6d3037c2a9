package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Bounds of the pause before a write is tried again.
const (
	retryFirst = 20 * time.Millisecond
	retryMax   = 5 * time.Second
)

// Writer writes one Pod's status, always the newest, and never two at a time. It is made for each Pod.
type Writer struct {
	client corev1client.PodsGetter

	mu      sync.Mutex
	base    *corev1.Pod // the API's newest word that we know of
	want    *corev1.PodStatus
	last    *corev1.PodStatus // what was asked for last, written or not
	writing bool
	idle    chan struct{} // closed while nothing is to be written
	gone    bool
}

// NewWriter returns a Writer for the Pod.
func NewWriter(client corev1client.PodsGetter, pod *corev1.Pod) *Writer {
	idle := make(chan struct{})
	close(idle)
	return &Writer{client: client, base: pod, idle: idle}
}

// NewDetached returns a Writer that has nothing to write to until Rebase; pod is what is told of it until then.
func NewDetached(client corev1client.PodsGetter, pod *corev1.Pod) *Writer {
	w := NewWriter(client, pod)
	w.gone = true
	return w
}

// Rebase has the status written to another object of the Pod's: the mirror of a static Pod comes and goes.
func (w *Writer) Rebase(ctx context.Context, object *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if object.UID == w.base.UID {
		w.observe(object)
		return
	}
	w.base, w.gone = object, false
	if w.last != nil {
		w.ask(ctx, w.last)
	}
}

// Observe takes over what a watch has seen of the Pod.
func (w *Writer) Observe(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observe(pod)
}

func (w *Writer) observe(pod *corev1.Pod) {
	if order, err := resourceversion.CompareResourceVersion(pod.ResourceVersion, w.base.ResourceVersion); err != nil || order > 0 {
		w.base = pod
	}
}

// Status is the newest status: what was asked for last, with the conditions that others have written since.
func (w *Writer) Status() corev1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return w.base.Status
	}
	s := *w.last
	for _, c := range w.base.Status.Conditions {
		if !ours(c.Type) {
			s.Conditions = replace(s.Conditions, c)
		}
	}
	return s
}

func ours(t corev1.PodConditionType) bool {
	switch t {
	case corev1.PodReady, corev1.ContainersReady, corev1.PodInitialized, corev1.PodReadyToStartContainers, corev1.PodScheduled, corev1.AllContainersRestarting,
		corev1.PodResizePending, corev1.PodResizeInProgress:
		return true
	}
	return false
}

// replace returns a new list that holds c.
func replace(list []corev1.PodCondition, c corev1.PodCondition) []corev1.PodCondition {
	out := make([]corev1.PodCondition, 0, len(list)+1)
	for _, old := range list {
		if old.Type != c.Type {
			out = append(out, old)
		}
	}
	return append(out, c)
}

// Set asks for the status to be written. It does not wait; a later status displaces one that is not yet written.
func (w *Writer) Set(ctx context.Context, s corev1.PodStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil && equality.Semantic.DeepEqual(w.last, &s) {
		return
	}
	if w.last = &s; !w.gone {
		w.ask(ctx, w.last)
	}
}

// ask has a status written. Called with mu held.
func (w *Writer) ask(ctx context.Context, s *corev1.PodStatus) {
	if w.want = s; !w.writing {
		w.writing, w.idle = true, make(chan struct{})
		go w.write(ctx)
	}
}

// Flush waits until everything asked for is in the API, or the Pod is no longer.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends writing and waits for a write that is under way. What was asked for and is not written yet is dropped.
func (w *Writer) Close(ctx context.Context) {
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	_ = w.Flush(ctx) // nobody is left to be told
}

func (w *Writer) write(ctx context.Context) {
	pause := retryFirst
	for {
		base, want := w.next()
		if want == nil {
			return
		}
		err := w.patch(ctx, base, want)
		if err == nil {
			pause = retryFirst
			continue
		}
		slog.DebugContext(ctx, "pod status not written yet", "namespace", base.Namespace, "pod", base.Name, "err", err)
		w.retry(want)
		select {
		case <-ctx.Done():
			w.stop()
			return
		case <-time.After(pause):
			pause = min(2*pause, retryMax)
		}
	}
}

// next takes what is to be written; nil ends the writing.
func (w *Writer) next() (*corev1.Pod, *corev1.PodStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.want
	w.want = nil
	if want == nil || w.gone {
		w.writing = false
		close(w.idle)
		return nil, nil
	}
	return w.base, want
}

func (w *Writer) retry(want *corev1.PodStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want == nil {
		w.want = want
	}
}

func (w *Writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = false
	close(w.idle)
}

func (w *Writer) patch(ctx context.Context, base *corev1.Pod, want *corev1.PodStatus) error {
	patch, err := Patch(base.UID, &base.Status, want)
	if err != nil || patch == nil {
		return err
	}
	pods := w.client.Pods(base.Namespace)
	answer, err := pods.Patch(ctx, base.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case apierrors.IsNotFound(err):
		w.lose(base)
		return nil
	case apierrors.IsConflict(err), apierrors.IsInvalid(err):
		return w.resync(ctx, base, err)
	case err != nil:
		return err
	}
	w.Observe(answer)
	return nil
}

// resync asks the API what there is after it refused a patch.
func (w *Writer) resync(ctx context.Context, base *corev1.Pod, cause error) error {
	now, err := w.client.Pods(base.Namespace).Get(ctx, base.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && now.UID != base.UID {
		w.lose(base)
		return nil
	}
	if err == nil {
		w.Observe(now)
	}
	return cause
}

// lose notes that the object is no longer.
func (w *Writer) lose(base *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = w.gone || w.base.UID == base.UID
}
