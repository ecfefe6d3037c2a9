package pod

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/log"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// Bounds of termination messages, as the kubelet has them.
const (
	maxMessage      = 4096
	maxLogMessage   = 2048
	maxMessageLines = 80
)

// report computes the Pod's status and has it written if it differs. Called with mu held.
func (w *Worker) report(ctx context.Context) {
	if w.gone {
		return
	}
	pod := w.spec.DeepCopy()
	last := w.writer.Status()
	pod.Status = last
	s := status.Compute(status.Input{
		Pod: pod, Runtime: w.rt, RuntimeName: w.RuntimeName, HostIPs: w.HostIPs,
		Waiting: w.waiting, Ready: w.readyNow, Started: w.startedNow, Message: w.message,
		Verdict: w.verdict, Renewing: renewing(pod, w.rt), ResizePending: w.resizePending, ResizeFailed: w.resizeFailed, Stopping: w.spec.DeletionTimestamp != nil || w.verdict != nil, Now: time.Now(),
	})
	if w.postpone(&last, &s) {
		return
	}
	w.writer.Set(ctx, s)
	if terminal(&corev1.Pod{Status: s}) && !terminal(w.spec) {
		next := *w.spec
		next.Status.Phase = s.Phase
		w.spec = &next // the watch will say so too, later
		w.freed = true
		w.Wake()
	}
}

// holdBack is how long a status that says nothing new to anybody may wait for the one that does.
const holdBack = 250 * time.Millisecond

// postpone tells whether to keep a status to ourselves for a moment: something is being started, and so far there is
// no more to tell than that. The end of the start wakes the Worker, so that the status that counts is not queued
// behind a write of this one.
func (w *Worker) postpone(last, next *corev1.PodStatus) bool {
	if len(w.busy) == 0 || significant(last, next) {
		w.postponed = time.Time{}
		return false
	}
	if w.postponed.IsZero() {
		w.postponed = time.Now()
		time.AfterFunc(holdBack, w.Wake)
	}
	if time.Since(w.postponed) < holdBack {
		return true
	}
	w.postponed = time.Time{}
	return false
}

// significant tells whether a container began to run, ended, became ready or unready, or waits for another reason
// than that it is being made.
func significant(last, next *corev1.PodStatus) bool {
	return last.Phase != next.Phase && next.Phase != corev1.PodPending ||
		differ(last.InitContainerStatuses, next.InitContainerStatuses) ||
		differ(last.ContainerStatuses, next.ContainerStatuses) ||
		differ(last.EphemeralContainerStatuses, next.EphemeralContainerStatuses)
}

func differ(last, next []corev1.ContainerStatus) bool {
	for i := range next {
		now, before := &next[i], status.Find(last, next[i].Name)
		if before == nil {
			before = &corev1.ContainerStatus{}
		}
		if now.Ready != before.Ready || now.RestartCount != before.RestartCount {
			return true
		}
		if (now.State.Running != nil) != (before.State.Running != nil) || (now.State.Terminated != nil) != (before.State.Terminated != nil) {
			return true
		}
		if wait := now.State.Waiting; wait != nil && wait.Reason != "ContainerCreating" && wait.Reason != "PodInitializing" &&
			(before.State.Waiting == nil || before.State.Waiting.Reason != wait.Reason) {
			return true
		}
	}
	return false
}

// message reads how a container that has exited explains itself.
func (w *Worker) message(c *runtime.Container) string {
	if text, ok := w.messages[c.GetId()]; ok {
		return text
	}
	name, attempt := c.GetMetadata().GetName(), c.GetMetadata().GetAttempt()
	text := tail(w.messagePath(name, attempt), maxMessage)
	fallback := c.GetAnnotations()[annotationMessagePolicy] == string(corev1.TerminationMessageFallbackToLogsOnError)
	if text == "" && fallback && c.GetExitCode() != 0 {
		lines, err := log.Tail(filepath.Join(w.logDir(), logPath(name, attempt)), maxMessageLines, maxLogMessage)
		if err == nil {
			text = lines
		}
	}
	w.messages[c.GetId()] = strings.ToValidUTF8(text, "\uFFFD")
	return w.messages[c.GetId()]
}

// tail reads the last bytes of a file that a container wrote: it may have made it anything, so nothing but a regular
// file is read, and no link is followed.
func tail(path string, limit int64) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if size := info.Size(); size > limit {
		if _, err := f.Seek(size-limit, io.SeekStart); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return ""
	}
	return string(text)
}
