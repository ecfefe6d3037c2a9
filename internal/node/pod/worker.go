package pod

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mayfly-run/mayfly/internal/node/backoff"
	"github.com/mayfly-run/mayfly/internal/node/probe"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// Worker drives one Pod.
type Worker struct {
	*Node
	uid    types.UID
	name   types.NamespacedName
	static bool // a file asks for the Pod; see static.go
	writer *status.Writer
	wake   chan struct{}
	tasks  sync.WaitGroup
	crash  *backoff.Backoff // of containers that end, by Hash: another image begins anew
	retry  *backoff.Backoff // of everything else

	mu   sync.Mutex
	spec *corev1.Pod // the API's newest word, with resources as granted
	gone bool        // the API no longer has it
	// taken says that the node has accepted the Pod, cleared that nothing of it is left here.
	taken, cleared bool
	rt             *runtime.Pod
	look           bool // rt may be out of date
	// busy holds the tasks under way: a container's name, or one of the names below.
	busy map[string]context.CancelFunc
	// waiting says, by container, why it does not run; until when it is not tried again is in after.
	waiting map[string]status.Waiting
	after   map[string]time.Time
	// restart holds the IDs of containers that were killed to be started again.
	restart map[string]bool
	// wanted is the API's newest word while it asks for resources that are not granted; resizePending says why not, and
	// resizeFailed, by container, why granted ones could not be given.
	wanted        *corev1.Pod
	resizePending status.Waiting
	resizeWaits   atomic.Bool // for room, as far as is known
	freed         bool        // the Pod takes less of the node than before
	resizeFailed  map[string]string
	// confined is how the Pod's cgroup is limited; nil as long as nothing has been resized.
	confined *runtimev1.LinuxContainerResources
	// hidden holds the IDs of containers that are not to be seen: ephemeral ones whose start is not judged yet, or did
	// not count because their target had ended.
	hidden    map[string]bool
	volumesUp bool
	refreshed time.Time
	measured  time.Time
	verdict   *status.Verdict
	probes    map[string]*probing // by container ID
	announced map[string]string   // events told already, by subject
	messages  map[string]string   // termination messages, by container ID
	grace     int64               // of the termination under way
	confirmed bool                // the API was told that nothing is left
	finished  bool
	postponed time.Time     // since when a status of no significance is held back
	seen      chan struct{} // closed when rt has been replaced
}

type probing struct {
	*probe.Group
	stop context.CancelFunc
}

// Names of tasks that are not a container's.
const (
	taskVolumes   = "/volumes"
	taskSandbox   = "/sandbox"
	taskTerminate = "/terminate"
	taskClean     = "/clean"
	taskUsage     = "/usage"
)

// New returns the Worker of pod. Run must be called.
func New(node *Node, pod *corev1.Pod) *Worker {
	w := &Worker{
		Node: node, uid: pod.UID, name: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, look: true,
		writer:       status.NewWriter(node.Client.CoreV1(), pod),
		wake:         make(chan struct{}, 1),
		crash:        backoff.New(crashFirst, crashMax),
		retry:        backoff.New(retryFirst, retryMax),
		busy:         map[string]context.CancelFunc{},
		waiting:      map[string]status.Waiting{},
		after:        map[string]time.Time{},
		restart:      map[string]bool{},
		resizeFailed: map[string]string{},
		hidden:       map[string]bool{},
		probes:       map[string]*probing{},
		announced:    map[string]string{},
		messages:     map[string]string{},
		seen:         make(chan struct{}),
	}
	w.spec, w.wanted = hold(pod)
	w.taken = pod.Status.StartTime != nil
	w.resizedFrom(given(pod))
	return w
}

// Update gives the Worker the API's newest word about its Pod.
func (w *Worker) Update(pod *corev1.Pod) {
	w.writer.Observe(pod)
	w.mu.Lock()
	before := w.spec
	if w.spec, w.wanted = hold(pod); w.wanted == nil {
		w.resizePending = status.Waiting{}
	}
	w.resizedFrom(before)
	w.mu.Unlock()
	w.Wake()
}

// Delete tells the Worker that the API no longer has the Pod.
func (w *Worker) Delete() {
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	w.Wake()
}

// Changed tells the Worker that the runtime has news of the Pod. What the Worker knows already is no news: that a
// container runs which it has started itself.
func (w *Worker) Changed(n runtime.News) {
	w.mu.Lock()
	known := n.Started && (w.rt.ByID(n.ContainerID).Running() || len(w.busy) > 0)
	w.look = w.look || !known
	w.mu.Unlock()
	if !known {
		w.Wake()
	}
}

// Wake makes the Worker look at its Pod again, soon and once.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Pod returns the API's newest word about the Pod.
func (w *Worker) Pod() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spec
}

// Observed returns the runtime's picture of the Pod as the Worker last saw it; it may be nil.
func (w *Worker) Observed() *runtime.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rt
}

// Run drives the Pod until nothing of it is left (true) or ctx ends (false). When ctx ends, containers run on.
func (w *Worker) Run(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer w.tasks.Wait()
	defer w.stopProbes()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.wake:
		case <-timer.C:
		}
		timer.Reset(w.sync(ctx))
		if w.freed {
			w.freed = false
			w.Freed()
		}
		if w.finished {
			w.writer.Close(ctx)
			return true
		}
	}
}

// sync looks at the Pod, does what is due, and returns when to look again at the latest.
func (w *Worker) sync(ctx context.Context) time.Duration {
	w.take()
	w.admit()
	if err := w.observe(ctx); err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "runtime cannot be asked about pod", "uid", w.uid, "err", err)
		}
		return retryFirst
	}
	defer w.mu.Unlock()
	w.checkDeadline()
	next := refreshPeriod
	switch {
	case w.gone || w.spec.DeletionTimestamp != nil || w.verdict != nil || terminal(w.spec):
		w.terminate(ctx)
	default:
		next = w.advance(ctx)
	}
	w.syncProbes(ctx)
	w.report(ctx)
	return max(min(next, w.untilDeadline()), time.Millisecond)
}

// observe refreshes the picture of the runtime if there may be news, and locks mu unless it fails. What was asked
// before a task ended, or told what has come of it, says how things were before it, and is asked again: else the task
// would be done twice.
func (w *Worker) observe(ctx context.Context) error {
	w.mu.Lock()
	for w.look || w.rt == nil {
		w.look = false
		prev, seen := w.rt, w.seen
		w.mu.Unlock()
		rt, err := w.Runtime.Pod(ctx, w.uid, prev)
		w.mu.Lock()
		switch {
		case err != nil:
			w.look = true
			w.mu.Unlock()
			return err
		case w.seen != seen:
			w.look = true
		default:
			w.see(rt)
		}
	}
	return nil
}

// see replaces the picture of the runtime. Called with mu held.
func (w *Worker) see(rt *runtime.Pod) {
	if w.rt == nil {
		w.recall(rt)
	}
	w.rt = rt.Without(w.hidden)
	close(w.seen)
	w.seen = make(chan struct{})
}

// recall takes over the back-offs that containers were given by an agent before this one. Where the sandbox is gone as
// well, the machine or Mayfly was taken down, and containers begin anew.
func (w *Worker) recall(rt *runtime.Pod) {
	for _, c := range rt.Containers {
		name := c.GetMetadata().GetName()
		if c.SandboxID != rt.Sandbox().GetId() || rt.Latest(name) != c {
			continue
		}
		if pause, err := time.ParseDuration(c.GetAnnotations()[annotationBackOff]); err == nil {
			w.crash.Recall(c.GetAnnotations()[annotationHash], pause, time.Unix(0, c.GetCreatedAt()))
		}
	}
}

// WaitExit waits until the container does not run any more, or ctx ends.
func (w *Worker) WaitExit(ctx context.Context, id string) {
	for {
		w.mu.Lock()
		running, seen := w.rt.ByID(id).Running(), w.seen
		w.mu.Unlock()
		if !running {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-seen:
		}
	}
}

// spawn runs a task under name, unless one is under way. Its end wakes the Worker, which then asks the runtime what
// has come of it. Called with mu held.
func (w *Worker) spawn(ctx context.Context, name string, do func(ctx context.Context)) {
	w.spawnKnown(ctx, name, func(ctx context.Context) bool { do(ctx); return false })
}

// spawnKnown is spawn for a task that may tell what has come of it itself: do returns true if it has.
func (w *Worker) spawnKnown(ctx context.Context, name string, do func(ctx context.Context) (known bool)) {
	if _, ok := w.busy[name]; ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w.busy[name] = cancel
	w.tasks.Go(func() {
		known := do(ctx)
		cancel()
		w.mu.Lock()
		delete(w.busy, name)
		w.look = w.look || !known
		w.mu.Unlock()
		w.Wake()
	})
}

func (w *Worker) isBusy(name string) bool {
	_, ok := w.busy[name]
	return ok
}

// checkDeadline gives the verdict on a Pod that has been active for too long.
func (w *Worker) checkDeadline() {
	if w.verdict == nil && w.untilDeadline() <= 0 && !terminal(w.spec) {
		w.verdict = &status.Verdict{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
		w.Recorder.Event(w.spec, corev1.EventTypeNormal, "DeadlineExceeded", w.verdict.Message)
	}
}

// untilDeadline is long if the Pod has no deadline or has passed it already.
func (w *Worker) untilDeadline() time.Duration {
	seconds := w.spec.Spec.ActiveDeadlineSeconds
	start := w.writer.Status().StartTime
	if seconds == nil || start == nil || w.verdict != nil || w.spec.DeletionTimestamp != nil {
		return time.Hour
	}
	return time.Until(start.Add(time.Duration(*seconds) * time.Second))
}

func terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// logDir is where the logs of all containers of the Pod are. mu need not be held.
func (w *Worker) logDir() string { return LogDir(w.LogDir, w.name.Namespace, w.name.Name, w.uid) }

// LogDir is where the logs of all containers of a Pod are, below root.
func LogDir(root, namespace, name string, uid types.UID) string {
	return filepath.Join(root, namespace+"_"+name+"_"+string(uid))
}

// LogPath is the log file of one of the Pod's containers.
func (w *Worker) LogPath(c *runtime.Container) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return filepath.Join(w.logDir(), logPath(c.GetMetadata().GetName(), c.GetMetadata().GetAttempt()))
}

// Status is the Pod's newest status, written or about to be.
func (w *Worker) Status() corev1.PodStatus { return w.writer.Status() }

// TTY tells whether the named container has a terminal.
func (w *Worker) TTY(container string) bool {
	c := specOf(w.Pod(), container)
	return c != nil && c.TTY
}

// ContainerID is the container's ID as the API has it.
func (w *Worker) ContainerID(c *runtime.Container) string { return w.RuntimeName + "://" + c.GetId() }
